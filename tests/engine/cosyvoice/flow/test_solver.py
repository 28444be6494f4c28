import torch

from cosyserve.engine.cosyvoice.flow.solver import Condition, euler_schedule, time_span
from support.engines import goldens
from support.engines.tiny_flow import difference


def test_euler_schedule() -> None:
    arrays = goldens.tensors("c_estimator")
    assert difference(time_span(10), arrays["t_span"]) < 1e-7
    times, lengths = euler_schedule(10)
    assert difference(times, arrays["euler_t"]) < 1e-6
    assert difference(lengths, arrays["euler_dt"]) < 1e-6


def test_the_schedule_is_computed_on_the_cpu_whatever_the_default_device_is() -> None:
    with torch.device("meta"):
        times, lengths = euler_schedule(4)
    assert float((times + lengths)[-1]) == 1.0


def test_the_free_row_has_no_condition() -> None:
    mu, speaker, prompt = (
        torch.ones(3, 80, 7),
        torch.full((3, 80), 2.0),
        torch.full((3, 80, 7), 3.0),
    )
    inputs = Condition(mu, speaker, prompt).inputs()
    assert not inputs[:, 1].any()
    assert not inputs[:, 0, :, :80].any()
    assert [float(inputs[1, 0, 5, at]) for at in (80, 160, 240)] == [1.0, 2.0, 3.0]
