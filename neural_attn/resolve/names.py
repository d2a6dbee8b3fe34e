"""Names: how types become layer names, and which names generated code cannot use."""

from __future__ import annotations

import builtins
import keyword
import re

# Attributes that torch.nn.Module, keras.layers.Layer or our own runtime classes hold;
# a sublayer or parameter of this name would overwrite them. tests/test_names.py
# compares the list with dir() of the real classes.
RESERVED_ATTRIBUTES = frozenset(
    """
    T_destination activity_regularizer add_loss add_metric add_module add_variable
    add_weight application_count applications apply astype attend attend_blocks
    attend_rows attention_layers attention_mask attention_softmax attention_weights
    autocast bfloat16 buffers build build_from_config built call
    call_signature_parameters call_super_init children compile compile_from_config
    compiled compiled_loss compiled_metrics compute_dtype compute_loss
    compute_loss_and_updates compute_mask compute_metrics compute_output_shape
    compute_output_spec count_params cpu cuda decode decode_logits
    distribute_reduction_method distribute_strategy double dtype dtype_policy
    dump_patches encode eval evaluate export extra_repr fit float forward
    forward_logits from_config generate
    get_buffer get_build_config get_compile_config get_config get_extra_state
    get_layer get_metrics_result get_parameter get_quantization_layer_structure
    get_state_tree get_submodule get_weights half initialize input input_dtype
    input_names input_spec ipu jit_compile keeps layers load_own_variables
    load_state_dict load_weights loss losses make_predict_function
    make_test_function make_train_function metrics metrics_names metrics_variables
    modules mtia name name_scope named_buffers named_children named_modules
    named_parameters named_weights non_trainable_variables non_trainable_weights
    optimizer output parameters past path predict predict_function predict_on_batch
    predict_step quantization_mode quantize quantized_build quantized_call
    register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook rematerialized_call
    requires_grad_ reset_metrics reset_states run_eagerly run_with_attention save
    save_own_variables save_weights set_extra_state set_state_tree
    set_store_attention set_submodule set_weights share_memory skipped state_dict
    stateless_call stateless_compute_loss steps_per_execution stop_evaluating
    stop_predicting stop_training store_attention summary supports_jit
    supports_masking symbolic_call symbolic_test_step symbolic_train_step
    tensorflow_backend test_function test_on_batch test_step to to_empty to_json
    track_async_checkpoint train train_function train_on_batch train_step trainable
    trainable_variables trainable_weights training type unrolled_steps_per_execution
    updates variable_dtype variables walk weights xpu zero_grad
    """.split()
)

# Module-level names of generated files.
RESERVED_GLOBALS = frozenset(
    "F keras math nn np ops save_file load_file tf torch self inputs return_attention "
    "create_model create_loss create_optimizer create_metrics create_schedule train "
    "super print len "
    "range enumerate dict list tuple float int str bool None True False".split()
)


def snake_case(name: str) -> str:
    """`TransformerEncoder` to `transformer_encoder`, `Conv2D` to `conv2d`."""
    name = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return name.lower()


def trouble_with_variable(name: str) -> str:
    """Why a variable or parameter cannot have this name in generated code, or ""."""
    if keyword.iskeyword(name):
        return f"`{name}` is a Python keyword"
    if name in RESERVED_GLOBALS:
        return f"`{name}` is used by the generated code"
    if name.startswith("__"):
        return "names that begin with two underscores are Python's own"
    return ""


def trouble_with_class(name: str) -> str:
    """Why a network or a define cannot have this name in generated code, or ""."""
    if hasattr(builtins, name):
        return f"`{name}` is one of Python's own names"
    if name.startswith("_"):
        return "class names do not begin with an underscore"
    return trouble_with_variable(name)


def trouble_with_attribute(name: str) -> str:
    """Why a layer cannot have this name in generated code, or ""."""
    if name in RESERVED_ATTRIBUTES or name.startswith("_"):
        return f"`{name}` is taken by the layers of the frameworks"
    return trouble_with_variable(name)
