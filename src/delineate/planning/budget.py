"""Budget: how long training may take, and the recipe that makes the best of it.

Two recipes. The long one is nnU-Net's: 250 000 steps of SGD on all five folds, days on a GPU. The short one
is for a budget of minutes or of few steps, on any device: AdamW with warm-up, one fold, weights averaged.

On a CPU the budget also limits the network. A step may cost so many operations that enough steps fit into
the time; `sizing` then cuts batch, width and patch. The rule knows nothing of the dataset but its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from delineate.errors import PlanError
from delineate.planning.plan import Axis, Training
from delineate.planning.presets import Preset
from delineate.planning.sizing import Allowance

Device = Literal["gpu", "cpu"]

# The long recipe: Isensee 2021, Methods, "Training procedure"; 1000 epochs of 250 steps.
LONG_STEPS = 250_000
SHORT_STEPS = 25_000  # below a tenth of that, SGD at momentum 0.99 has not settled: the short recipe

# The short recipe. Measured on 50 hippocampus cases, patches of 40 x 56 x 40 in batches of 2: a network of
# width 16 reaches a mean Dice of .881 after 3000 steps (171 TFLOP), one of width 32 .874 after 1100 steps
# (253 TFLOP). SGD: .839 after 600 steps.
CPU_MINUTES = 20.0  # where nobody says how long: a coffee
CPU_GFLOPS = 400.0  # sustained in training: two AVX-512 cores, bf16, 230 GFLOP in 0.52 s, data included
STEPS_IN_TEN_MINUTES = 3500  # more of a narrow network beat fewer of a wide one, see above
STRETCH = 3.5  # ... but the patch is cut only where fewer than 1000 would fit: 1100 settled, see above
GROWTH = 0.5  # steps grow with time to this power; the rest of the time makes the network larger.
#               Both alike, as compute is best shared: Hoffmann 2022, arXiv:2203.15556, for language.
FEWEST_STEPS = 300  # below, the learning rate would fall before anything was learnt
WIDTHS = (32, 24, 16)  # not below 16: a vector register holds 16 floats, narrower saves no time
CPU_BATCH = {2: 8, 3: 2}  # 2D patches hold little each
CPU_EDGE = {2: 64, 3: 32}  # voxels; a patch below that shows no organ
LEARNING_RATE = 1e-3  # AdamW's default; Loshchilov 2019, arXiv:1711.05101
WEIGHT_DECAY = 1e-2  # AdamW's default
WARMUP = 0.05  # share of the steps
AVERAGED = 0.05  # share of the steps over which weights are averaged
LONGEST_AVERAGE = 1000  # steps; beyond, the average lags behind more than it calms
VALIDATIONS = 10  # in a short training
VALIDATION_BATCHES = 10  # a third of the work of a training step each: 3 % of the time in all

GPU_STEP_S = 0.1  # seconds for a step of an 8 GB plan: 1000 epochs take 7-9 h on an A100 (Isensee 2024)


@dataclass(frozen=True)
class Budget:
    """How long each training may take.

    minutes, steps  one of them ends each training
    told            whether somebody asked for it
    step            operations of a step, once the network is known
    """

    device: Device
    gflops: float
    minutes: float | None
    steps: int | None
    told: bool
    step: float | None = None

    @classmethod
    def of(
        cls, device: Device, minutes: float | None, steps: int | None, trainings: int, gflops: float
    ) -> Budget:
        """The budget of each of `trainings`; `minutes` are for all of them together.

        Raises:
            PlanError: minutes and steps, or a budget that is not positive.
        """
        if minutes is not None and steps is not None:
            raise PlanError("give either minutes or steps: one of them ends the training.")
        for name, value in (("minutes", minutes), ("steps", steps), ("gflops", gflops)):
            if value is not None and not value > 0:
                raise PlanError(f"{name} is a positive number, got {value}.")
        told = minutes is not None or steps is not None
        if not told and device == "cpu":
            minutes = CPU_MINUTES
        elif not told:
            steps = LONG_STEPS
        each = None if minutes is None else minutes / trainings
        return cls(device, gflops, each, steps, told)

    @property
    def is_short(self) -> bool:
        """Whether the short recipe applies."""
        return self.aimed_steps < SHORT_STEPS

    @property
    def is_thorough(self) -> bool:
        """Whether every fold and configuration is worth its own training: nobody shares out minutes."""
        return not self.is_short and self.minutes is None

    @property
    def averaged_steps(self) -> float:
        """Over how many steps weights are averaged."""
        return min(max(2.0, AVERAGED * self.expected_steps), LONGEST_AVERAGE)

    @property
    def aimed_steps(self) -> int:
        """For how many steps each training should have time."""
        if self.steps is not None:
            return self.steps
        if self.device == "gpu":
            return max(1, int(60 * (self.minutes or 0) / GPU_STEP_S))
        return _steps_in(self.minutes or 0)

    @property
    def expected_steps(self) -> int:
        """How many steps each training will have, about."""
        if self.operations is None or self.minutes is None or self.step is None:
            return self.aimed_steps
        return max(1, int(self.minutes * 60 * self.gflops * 1e9 / self.step))

    @property
    def operations(self) -> float | None:
        """What a step may cost, or None where time is no matter.

        Where steps are counted, as much as in a budget of `CPU_MINUTES`: a few steps are a quick try.
        """
        if self.device == "gpu":
            return None
        minutes = CPU_MINUTES if self.minutes is None else self.minutes
        return minutes * 60 * self.gflops * 1e9 / _steps_in(minutes)

    def allowance(self, preset: Preset, memory_gb: float) -> Allowance:
        """What a training step may cost."""
        if self.operations is None:
            return Allowance(preset, memory_gb)
        return Allowance(preset, memory_gb, self.operations, WIDTHS, CPU_BATCH, CPU_EDGE, stretch=STRETCH)

    def training(self, mirror_axes: tuple[Axis, ...]) -> Training:
        """The recipe."""
        if not self.is_short:
            return Training(
                optimizer="sgd",
                learning_rate=1e-2,
                weight_decay=3e-5,
                momentum=0.99,
                schedule="poly",
                steps=self.steps,
                minutes=self.minutes,
                mirror_axes=mirror_axes,
            )
        return Training(
            optimizer="adamw",
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            schedule="poly",
            warmup=WARMUP,
            steps=self.steps,
            minutes=self.minutes,
            validate_every=max(1, self.expected_steps // VALIDATIONS),
            validation_batches=VALIDATION_BATCHES,
            ema=round(1 - 1 / self.averaged_steps, 4),
            mirror_axes=mirror_axes,
        )

    @property
    def seconds_a_step(self) -> float | None:
        """What a step is expected to take on this CPU, or None on a GPU."""
        if self.operations is None:
            return None
        return self.operations / (self.gflops * 1e9)

    def reasons(self) -> dict[str, str]:
        """Why the training is as it is, by field."""
        return {f"training.{field}": why for field, why in {**_SAME, **self._end(), **self._recipe()}.items()}

    def _end(self) -> dict[str, str]:
        if self.minutes is not None and self.told:
            why = f"asked for; {self.minutes:g} minutes for each training, about {self.expected_steps} steps"
        elif self.minutes is not None:
            why = f"nobody set a budget; on a CPU {self.minutes:g} minutes give a first model"
        elif self.told:
            why = "asked for"
        else:
            why = "nobody set a budget: 1000 epochs of 250 steps, as nnU-Net trains"
        by_time = self.minutes is not None
        other = "the clock ends the training" if by_time else "the number of steps ends the training"
        return {"minutes": why, "steps": other} if by_time else {"steps": why, "minutes": other}

    def _recipe(self) -> dict[str, str]:
        if not self.is_short:
            return _LONG
        return _SHORT | {
            "ema": f"weights averaged over about {self.averaged_steps:.0f} of {self.expected_steps} steps: "
            "a short one ends noisy",
            "validate_every": f"{VALIDATIONS} times in about {self.expected_steps} steps",
        }


def _steps_in(minutes: float) -> int:
    """For how many steps a CPU should have time in so many minutes."""
    return max(FEWEST_STEPS, int(STEPS_IN_TEN_MINUTES * (minutes / 10) ** GROWTH))


_SAME = {
    "loss": "soft Dice finds the overlap, cross-entropy keeps the gradients alive where there is none",
    "accumulate": "the batch fits into memory: no need to take it in parts",
    "hard_cases": "all cases alike: one with wrong labels stays hard and would take over",
    "patches": "some are centred on structures; background comes by itself",
    "targets": "one reference map for each case",
    "pseudo_weight": "labels of models, where there are any, are drawn as often as those of people",
    "channel_dropout": "none: nobody asked that scans may lack what the training cases have",
    "freeze": "nothing: every weight begins at random",
    "thaw_after": "nothing is frozen",
    "encoder_rate": "all weights alike, as none has learnt before",
    "foreground": "a third of the patches are centred on a structure, or rare ones would hardly be seen",
    "clip": "gradient norm; only a guard against a single wild batch",
    "precision": "bf16 where the device computes in it (twice as fast on a CPU), fp16 on older GPUs",
    "seed": "any number; the same one gives the same draws",
    "patience": "training ends when its time is over: the learning rate needs to know the end",
    "step_factor": "only for the schedule 'step'",
    "step_every": "only for the schedule 'step'",
}
_LONG = {
    "optimizer": "SGD with Nesterov momentum settles best when there is time, as nnU-Net found",
    "learning_rate": "nnU-Net's start for SGD",
    "weight_decay": "nnU-Net's, for SGD",
    "momentum": "nnU-Net's, for SGD with small batches",
    "schedule": "falls to zero as (1 - t)^0.9, so that the end is calm",
    "warmup": "not needed: instance norms bound the first steps",
    "ema": "off: the long schedule averages enough",
    "validate_every": "one of nnU-Net's epochs",
    "validation_batches": "as nnU-Net; patches, not whole scans: only to follow the training",
}
_SHORT = {
    "optimizer": "AdamW is further after a thousand steps than SGD: Dice .87 against .84 on hippocampi",
    "learning_rate": "AdamW's usual start",
    "weight_decay": "AdamW's usual value",
    "momentum": "only for SGD",
    "schedule": "falls to zero with each step as (1 - t)^0.9, so that the training ends finished",
    "warmup": f"the first {WARMUP:.0%} of the steps, while AdamW's estimates are still noise",
    "validation_batches": "about 3 % of the time goes into following the training",
}
