"""Golden vectors of the reference, run through our implementation.

    python -m cosyserve.benchmarks.parity FOLDER
    python -m cosyserve.benchmarks.parity FOLDER --only b_flow,f_llm --json FILE --weights DIR

A folder holds any of these files of arrays, and, where they need weights, config.json (reference.config)
and llm|flow|hift.safetensors under the checkpoint's keys. Lengths, chunk schedules, prefixes and scripts come
from the arrays' names and shapes and from the JSON under `meta`:

    a_encoder          reference.flow.encode
    b_flow_inference   reference.flow.inference, Flow.speaker; Flow.prepare_prompt, start, step
    c_estimator        reference.flow.velocity, flow.solver.euler_schedule
    d_hift             Hift.f0_predictor, decode; reference.vocoder.source, inference; vocoder.layers.analyse
    e_token2wav_loop   reference.vocoder.play; Flow.step in the same schedule
    e2_tail            the same
    f_llm              reference.lm.forward, inference, inference_bistream
    f_ras_sampling     lm.sampling.ras_distribution
    g_frontend         prompt.resample, prompt_mel, whisper_log_mel, kaldi_fbank, speaker_fbank
    rand_noise         Flow.noise

Every array is named with its difference and its tolerance; also one that is missing, that no check takes, or
that cannot be checked. The exit status is 0 only if all are within their tolerances, but for those that are
over for a reason that is known and shown; 1 if not; 2 if the folder cannot be used.
"""
