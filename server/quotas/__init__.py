"""Daily quotas: what the tasks of a token may have in a day, through whichever dialect."""

from .book import DailyQuotas, TaskQuota
from .day import QuotaDay
from .file import QuotaFile

__all__ = ["DailyQuotas", "QuotaDay", "QuotaFile", "TaskQuota"]
