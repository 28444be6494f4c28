"""The reference's own ways to run the models, on our modules: for comparison with its golden vectors."""
