"""This module tidies a graph around folding, with passes and rules of onnx-ir and onnxscript alone.

Before: what is a constant becomes one, and what does nothing at inference (dropout, identity) goes, so that a rule
sees a layer's real neighbours. After: computed shapes become constants, what is left over goes. Rules that fold
normalization layers are not among them; what becomes of a layer is for ``folding`` to decide and to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

from folding.rules.values import SCOPES

SIMPLIFY = (
    rules.dropout_inference_rule,
    rules.dropout_zero_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.add_0_rule,
    rules.sub_0_rule,
    rules.mul_by_1_rule,
    rules.div_by_1_rule,
    rules.cast_cast_rule,
    rules.transpose_transpose_rule,
    rules.flatten_to_reshape_rule,
    rules.materialize_reshape_shape_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.slice_split_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.no_op_static_scatter_nd_rule,
    rules.no_op_dynamic_scatter_nd_rule,
    rules.two_reshapes_matmul_reshape_rule,
    rules.one_reshape_matmul_reshape_rule,
    rules.normalize_pad_format_conv_rule,
    rules.fuse_pad_into_conv_rule,
    rules.successive_relu_rule,
    rules.successive_clip_rule,
    rules.successive_clip_relu_rule,
    rules.successive_relu_clip_rule,
    rules.min_min_rule,
    rules.max_max_rule,
    # the exporter writes a missing bias as zeros, behind Conv3d of a shape that no runtime takes
    rules.remove_optional_bias_from_conv_rule,
    rules.remove_optional_bias_from_conv_transpose_rule,
    rules.remove_optional_bias_from_gemm_rule,
)
"""The rules that ``torch.onnx.export`` applies of itself, without those that fold normalization layers."""


def prepare(model: ir.Model) -> None:
    """Make a graph ready for folding, in place."""
    passes.InlinePass()(model)
    _simplify(model)
    passes.ShapeInferencePass()(model)


def clean_up(
    model: ir.Model, taps: Sequence[str], *, node_names: Mapping[ir.Node, str] | None = None, keep_scopes: bool = False
) -> None:
    """Take out of a graph what it does not need, in place.

    Args:
        model: Folded, or not to be.
        taps: Names of tensors that stay.
        node_names: What some nodes are to be called; any other of that name gets another.
        keep_scopes: Whether nodes still tell which module they came from, so that the graph can be folded later.
    """
    chosen = node_names or {}
    for node in model.graph:
        if node not in chosen and node.name in chosen.values():
            node.name = None
    for node, name in chosen.items():
        node.name = name
    values = {output.name: output for node in model.graph for output in node.outputs}
    observed = [values[tap] for tap in taps if tap in values and not values[tap].is_graph_output()]
    model.graph.outputs.extend(observed)  # an output is what every pass leaves in place, name and all
    _simplify(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    for _ in observed:
        model.graph.outputs.pop()
    passes.NameFixPass()(model)  # a convolution that is used twice is two nodes of one name
    # source paths on the machine that exported are in the metadata of nodes and tensors
    scopes = {node: node.metadata_props[SCOPES] for node in model.graph if SCOPES in node.metadata_props}
    passes.ClearMetadataAndDocStringPass()(model)
    if keep_scopes:
        for node, modules in scopes.items():
            node.metadata_props[SCOPES] = modules
    for value in (*model.graph.inputs, *model.graph.initializers.values(), *values.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.graph.name, model.producer_name, model.producer_version = "folded", "bntrain", None


def serialize(model: ir.Model) -> bytes:
    """The bytes of an ONNX file, checked."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def _simplify(model: ir.Model) -> None:
    optimizer.fold_constants(model)
    rewriter.rewrite(model, SIMPLIFY)
    _bridge_identities(model.graph)
    passes.RemoveUnusedNodesPass()(model)


def _bridge_identities(graph: ir.Graph) -> None:
    """Let whatever reads a copy read the original; a copy that is an output stays, since both may be outputs."""
    for node in graph:
        if node.op_type == "Identity" and node.inputs[0] is not None and not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(node.inputs[0])
