"""Transfer: the first weights of a network, taken from one that has learnt something already.

Each tensor is matched by what it means. Networks of one kind have the same parts under the same names, stage
0 at full resolution; of these

- what reads the image is matched channel by channel, by name; a channel that the source does not know begins
  with the mean of those that it knows, times (channels there) / (channels here), so that an image that is
  the same in all channels gives the features that it gave
- what gives the answer is matched structure by structure, by name; others begin anew
- kernels of other sizes, in 2D and 3D, are fitted as in `kernel`
- what still does not fit begins anew, and is named; where that is most of the network, it is refused

Source: the repeated first convolution and the head left behind are as in nnU-Net's fine-tuning of OpenMind's
encoders (Wald 2025, arXiv:2412.17041).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.networks.build import blueprint
from delineate.networks.kernel import Fitted, Frame, Layer, fitted, mixed
from delineate.networks.mednext import MedNeXt
from delineate.networks.upkern import drawn_out, is_larger
from delineate.planning.plan import Configuration, NetworkSpec, Plan, describe_spacing
from delineate.record import Record

LEAST = 0.5  # of the numbers of a network, heads apart: below, what is left is no transfer
BEFORE = "labels before: "  # an input of a cascade
SHOWN = 8

Fate = Literal["copied", "adapted", "new"]
Rows = list[list[tuple[int, float]]]


class Provenance(Record):
    """Which weights a network began with.

    kind     "model" or "pretrained encoder"
    dataset  that it was made from
    sha256   that names its folder
    """

    kind: Literal["model", "pretrained encoder"]
    dataset: str
    sha256: str
    configuration: str
    fold: int


class Moved(Record):
    """What became of one tensor: where it is new, why; where it is adapted, how."""

    name: str
    numbers: int
    fate: Fate
    how: str = ""


class Transfer(Record):
    """What a network took over, tensor by tensor.

    channels, outputs  of the network here: what each began with
    share              of its numbers, heads apart, that are not new
    notes              what differs between there and here and was let be
    """

    version: Literal[1] = 1
    source: Provenance
    channels: dict[str, str]
    outputs: dict[str, str]
    share: float
    notes: tuple[str, ...] = ()
    tensors: tuple[Moved, ...] = Field(min_length=1)

    def lines(self) -> tuple[str, ...]:
        """The transfer in words: what is copied, adapted and new, and each choice."""
        origin = self.source
        head = (
            f"{self.share:.0%} of the network is from the {origin.kind} {origin.dataset} "
            f"({origin.configuration}, fold {origin.fold}, {origin.sha256[:12]})"
        )
        return (head, *self._fates(), *self._choices(), *(f"note: {note}" for note in self.notes))

    def _fates(self) -> Iterator[str]:
        for fate in ("copied", "adapted", "new"):
            found = [moved for moved in self.tensors if moved.fate == fate]
            numbers = sum(moved.numbers for moved in found)
            yield f"{fate:8} {len(found)} tensors, {numbers:,} numbers"
            by_how: dict[str, list[str]] = {}
            for moved in found:
                if moved.how:
                    by_how.setdefault(moved.how, []).append(moved.name)
            for how, names in by_how.items():
                more = f" and {len(names) - 2} more" if len(names) > 2 else ""
                yield f"           {how}: {', '.join(names[:2])}{more}"

    def _choices(self) -> Iterator[str]:
        for title, choices in (("channel", self.channels), ("output", self.outputs)):
            for name, choice in list(choices.items())[:SHOWN]:
                yield f"{title} {name}: {choice}"
            if len(choices) > SHOWN:
                yield f"{title}s: {len(choices) - SHOWN} more, in transfer.json"


@dataclass(frozen=True)
class Described:
    """A network, and what goes in and comes out of it, by name.

    outputs  of the structures; none where it was pretrained
    """

    spec: NetworkSpec
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    frame: Frame

    @classmethod
    def of(cls, plan: Plan, name: str, *, pretrained: bool = False) -> Self:
        """The network of a configuration."""
        configuration = plan.configuration(name)
        inputs = tuple(channel.name for channel in plan.channels)
        if configuration.previous is not None:
            inputs += tuple(BEFORE + label.name for label in plan.labels.labels)
        frame = Frame(plan.orientation, configuration.slice_axis)
        return cls(configuration.network, inputs, () if pretrained else plan.labels.outputs, frame)


def transferred(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    source: Described,
    target: Described,
    provenance: Provenance,
    *,
    notes: Sequence[str] = (),
) -> Transfer:
    """Gives a network, fresh from `build_network`, what it can take over; what it took, and what not.

    Raises:
        ModelError: networks of different kinds, or so different that most would begin anew.
    """
    if source.spec.kind != target.spec.kind:
        raise ModelError(
            f"weights of {source.spec.kind} mean nothing to {target.spec.kind}: the source "
            f"{provenance.dataset} has the one, the plan the other. Plan with the source's network: "
            "delineate plan DATASET RUN --from MODEL"
        )
    work = _Work(weights, source, target, _Roles.of(target), _layers(network))
    own, moved = network.state_dict(), []
    for name, tensor in own.items():
        found = work.tensor(name, tensor)
        moved.append(found.moved)
        if found.weight is not None:
            own[name] = found.weight.to(tensor.dtype)
    share = _share(moved, work.roles)
    _refuse_little(share, moved, provenance)
    network.load_state_dict(own)
    return Transfer(
        source=provenance,
        channels=dict(zip(target.inputs, work.channel_words, strict=True)),
        outputs=dict(zip(target.outputs, work.output_words, strict=True)),
        share=share,
        notes=(*work.notes(), *notes),
        tensors=tuple(moved),
    )


def heads(network: Described, *, outputs: int | None = None) -> frozenset[str]:
    """Names of the tensors that give the answer; `outputs` of them, where they have no names."""
    return frozenset(_Roles.of(network, outputs).outputs)


def differences(source: Plan, there: Configuration, target: Plan, here: Configuration) -> tuple[str, ...]:
    """What of two plans differs, may differ, and is said: resolution, patch, how values are normalised."""
    lines = []
    if there.spacing != here.spacing:
        lines.append(
            f"voxels of {describe_spacing(there.spacing)} there, {describe_spacing(here.spacing)} here"
        )
    if there.edges != here.edges:
        a, b = (" x ".join(map(str, edges)) for edges in (there.edges, here.edges))
        lines.append(f"patches of {a} there, {b} here")
    rules = {_key(channel.name): channel.normalization for channel in source.channels}
    for channel in target.channels:
        before = rules.get(_key(channel.name))
        if before is not None and before != channel.normalization:
            lines.append(
                f"{channel.name} was normalised otherwise there ({before.rule}, here "
                f"{channel.normalization.rule}): its values mean something else"
            )
    if source.labels.exclusive != target.labels.exclusive:
        lines.append("one learns labels, the other regions: heads of the same name begin with another scale")
    return tuple(lines)


def _key(name: str) -> str:
    return name.strip().casefold()


def _share(moved: Sequence[Moved], roles: _Roles) -> float:
    body = [one for one in moved if one.name not in roles.outputs]
    whole = sum(one.numbers for one in body)
    return sum(one.numbers for one in body if one.fate != "new") / whole if whole else 0.0


def _refuse_little(share: float, moved: Sequence[Moved], provenance: Provenance) -> None:
    if share >= LEAST:
        return
    some = [f"  {one.name}: {one.how}" for one in moved if one.fate == "new" and one.how][:5]
    raise ModelError(
        "\n".join(
            [
                f"only {share:.0%} of the network would come from {provenance.dataset}; of the rest:",
                *some,
                "Plan with the source's network:  delineate plan DATASET RUN --from MODEL",
            ]
        )
    )


@dataclass(frozen=True)
class _Roles:
    """Which axes of which tensors are the image's channels, and which the outputs.

    Found by building the network with one more of each: what grows along with them belongs to them.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, network: Described, count: int | None = None) -> _Roles:
        inputs, outputs = len(network.inputs), count or max(1, len(network.outputs))
        spec, plain = network.spec, _shapes(network.spec, inputs, outputs)
        return cls(
            _grown(plain, lambda more: _shapes(spec, inputs + more, outputs)),
            _grown(plain, lambda more: _shapes(spec, inputs, outputs + more)),
        )


def _shapes(spec: NetworkSpec, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in blueprint(spec, inputs, outputs).state_dict().items()}


Shapes = Mapping[str, tuple[int, ...]]


def _grown(plain: Shapes, larger: Callable[[int], Shapes]) -> dict[str, tuple[int, ...]]:
    """The axes that grow by as much; by two where with one more other parts are needed (a shortcut)."""
    by, found = next(
        (by, shapes) for by in (1, 2, 3) if (shapes := larger(by)).keys() == plain.keys() or by == 3
    )
    axes = {
        name: tuple(axis for axis, (a, b) in enumerate(zip(shape, found[name], strict=True)) if b == a + by)
        for name, shape in plain.items()
        if name in found
    }
    return {name: some for name, some in axes.items() if some}


def _layers(network: nn.Module) -> dict[str, Layer]:
    """The convolutions, by the names of their weights."""
    found = {}
    for name, module in network.named_modules():
        transposed = isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d)
        if transposed or isinstance(module, nn.Conv2d | nn.Conv3d):
            grows = isinstance(network, MedNeXt) and name.endswith(".depthwise")
            found[f"{name}.weight"] = Layer(transposed, module.kernel_size == module.stride, grows)
    return found


@dataclass(frozen=True)
class _Found:
    moved: Moved
    weight: Tensor | None


@dataclass(frozen=True, eq=False)
class _Work:
    """Both sides of a transfer."""

    weights: Mapping[str, Tensor]
    source: Described
    target: Described
    roles: _Roles
    layers: Mapping[str, Layer]

    def tensor(self, name: str, own: Tensor) -> _Found:
        """What one tensor begins with."""
        weight, words = self._matched(name, own)
        fate: Fate = "new" if weight is None else "adapted" if words else "copied"
        moved = Moved(name=name, numbers=own.numel(), fate=fate, how=words)
        return _Found(moved, weight)

    def _matched(self, name: str, own: Tensor) -> tuple[Tensor | None, str]:
        if name in self.roles.outputs and not self.source.outputs:
            return None, "the head of pretraining is left behind"
        theirs = self.weights.get(name)
        if theirs is None:
            return None, "the source has no such part"
        kernel = self._fitted(name, theirs, own)
        if kernel is None:
            return None, f"{_size(theirs)} there, {_size(own)} here"
        weight, words = kernel.weight, [kernel.how] if kernel.how else []
        for axes, named, word in self._named(name):
            rows = _after(named, own.shape[axes[0]])
            if rows == [[(n, 1.0)] for n in range(weight.shape[axes[0]])]:
                continue
            if len(axes) > 1 or not any(rows) or not _differ_only(weight, own, axes[0]):
                return None, f"its {word}s are others"
            words.append(f"{word}s by name")
            weight = mixed(weight, axes[0], rows, own)
        if weight.shape != own.shape:
            return None, f"{_size(theirs)} there, {_size(own)} here"
        return weight, ", ".join(words)

    def _named(self, name: str) -> Iterator[tuple[tuple[int, ...], Rows, str]]:
        if name in self.roles.inputs:
            yield self.roles.inputs[name], self._channel_rows, "channel"
        if name in self.roles.outputs:
            yield self.roles.outputs[name], self._output_rows, "output"

    def _fitted(self, name: str, theirs: Tensor, own: Tensor) -> Fitted | None:
        """Their tensor with a kernel of our size."""
        layer = self.layers.get(name)
        if layer is None:
            return Fitted(theirs)
        sizes = tuple(own.shape[2:])
        if layer.grows and self.source.frame == self.target.frame and is_larger(theirs, sizes):
            return Fitted(drawn_out(theirs, sizes), "drawn out (UpKern)")
        return fitted(theirs, self.source.frame, self.target.frame, sizes, layer)

    @property
    def _image(self) -> list[int]:
        """Numbers of their inputs that are channels of the scan."""
        return [n for n, name in enumerate(self.source.inputs) if not name.startswith(BEFORE)]

    @property
    def _channel_rows(self) -> Rows:
        known = {_key(name): n for n, name in enumerate(self.source.inputs)}
        here = sum(not name.startswith(BEFORE) for name in self.target.inputs)
        rows: Rows = []
        for name in self.target.inputs:
            if _key(name) in known:
                rows.append([(known[_key(name)], 1.0)])
            elif name.startswith(BEFORE):
                rows.append([])
            else:
                rows.append([(n, 1 / here) for n in self._image])
        return rows

    @property
    def channel_words(self) -> list[str]:
        """What each channel began with."""
        there, here = len(self._image), sum(not name.startswith(BEFORE) for name in self.target.inputs)
        known = {_key(name) for name in self.source.inputs}
        factor = "" if there == here else f", times {there}/{here}"
        names = ", ".join(self.source.inputs[n] for n in self._image)
        mean = f"new: the mean of {names}{factor}" if there > 1 else f"new: as {names}{factor}"
        own = "new: no stage before was read there"
        return [
            "copied" if _key(name) in known else own if name.startswith(BEFORE) else mean
            for name in self.target.inputs
        ]

    @property
    def _output_rows(self) -> Rows:
        known = {_key(name): n for n, name in enumerate(self.source.outputs)}
        return [[(known[_key(name)], 1.0)] if _key(name) in known else [] for name in self.target.outputs]

    @property
    def output_words(self) -> list[str]:
        """What each output began with."""
        return ["copied" if rows else "new" for rows in self._output_rows]

    def notes(self) -> Iterator[str]:
        """What was left behind, and how slices lie."""
        here = {_key(name) for name in self.target.inputs}
        left = [name for name in self.source.inputs if _key(name) not in here]
        if left and any(_key(name) in here for name in self.source.inputs):
            yield f"not needed here: {', '.join(left)}"
        ours, theirs = self.target.frame, self.source.frame
        if ours.dims == theirs.dims == 2 and not ours.same_plane(theirs):
            yield "slices lie in another plane of the patient than those it learnt from"
        stages = len(self.source.spec.features), len(self.target.spec.features)
        if stages[0] != stages[1]:
            yield f"{stages[0]} stages there, {stages[1]} here: matched from full resolution down"


def _after(rows: Rows, length: int) -> Rows:
    """Rows of an axis on which the image comes last, after features that it is joined with; these stay."""
    before = length - len(rows)
    joined: Rows = [[(n, 1.0)] for n in range(before)]
    return joined + [[(before + n, by) for n, by in terms] for terms in rows]


def _differ_only(weight: Tensor, own: Tensor, axis: int) -> bool:
    """Whether two tensors have the same size along all other axes."""
    sizes = [list(tensor.shape) for tensor in (weight, own)]
    for size in sizes:
        del size[axis]
    return sizes[0] == sizes[1]


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"
