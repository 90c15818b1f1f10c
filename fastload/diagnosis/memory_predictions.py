"""What keeping samples in memory would give, and decoding them on a GPU: native threads without some of their stages."""

from __future__ import annotations

from fastload.diagnosis.remedy_model import Model, Prediction

READING: tuple[str, ...] = ("read",)
DECODING: tuple[str, ...] = ("read", "header", "decode")


def memory_predictions(model: Model) -> list[Prediction]:
    """From the stages of native threads, in the run itself or in the experiment with them."""
    sweep = model.loader.experiments.get("sweep") or {}
    stages: dict[str, float] = sweep.get("stages") or {}
    rates = sweep.get("native") or (sweep.get("rates") if sweep.get("unit") == "threads" else None) or []
    if not rates or sum(stages.values()) <= 0:
        return []
    threads, rate = max(rates, key=lambda pair: pair[1])
    ours = "" if model.loader.is_native else "fastload."
    call = f"{ours}DataLoader(..., num_workers={int(threads)}"
    found = []
    sizes = sweep.get("sizes") or {}
    for kind, left_out in (("encoded", READING), ("decoded", DECODING)):
        if 0 < sizes.get(kind, 0) <= sizes.get("room", 0):
            line = f'{call}, cache="{kind}")  # {sizes[kind] / 1e9:.2f} GB of memory'
            step = model.fed_natively(rate_without(rate, stages, left_out), int(threads))
            found.append(model.of(f"cache_{kind}", step, line, "native threads alone, without these stages"))
    if model.facts.machine.most("gpu_count") or any(sample.get("gpus") for sample in model.facts.machine.samples):
        line = f'{call}, device="cuda", decode="auto")'
        step = model.fed_natively(rate_without(rate, stages, ("decode", "resample", "pack")), int(threads))
        rests_on = "what native threads alone do beside decoding; at most, as the GPU's decoder was not measured"
        found.append(model.of("gpu_decode", step, line, rests_on))
    return found


def rate_without(rate: float, stages: dict[str, float], left_out: tuple[str, ...]) -> float:
    """Images a second of threads that need not do some of their stages."""
    total = sum(stages.values())
    left = total - sum(stages.get(name, 0.0) for name in left_out)
    return rate * total / max(left, 0.01 * total)  # something always remains
