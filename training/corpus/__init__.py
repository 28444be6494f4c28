"""What the parts are trained on: texts, the teachers that speak them, and features of their speech."""
