"""RecurrentTranslator for tensorflow.

From recurrent_translator.neural by neural-attn 0.1.0.
"""

import keras
import numpy as np
from keras import layers, ops

from recurrent_translator_alone_tensorflow_layers import (
    GRU,
    AttentionLayer,
    Bidirectional,
    Cache,
    TranslatingNetwork,
    masked_mean,
    scan,
    split_heads,
)


class AdditiveAttention(AttentionLayer):
    """Attention whose logits are v · tanh(W query + U key) (Bahdanau et al., 2015).

    query [batch, queries, d_model], key and value [batch, keys, width]: the mean of the
    values under the weights.
    """

    def __init__(self, d_model, units=None, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        if units is None:
            units = d_model
        self.units = units
        self.query_projection = layers.Dense(units, use_bias=False, dtype=dtype)
        self.key_projection = layers.Dense(units, dtype=dtype)
        self.score = layers.Dense(1, use_bias=False, dtype=dtype)

    def call(self, query, key=None, attention_mask=None, training=None):
        if key is None:
            key = query
        # each query meets each key
        rows = ops.reshape(
            self.query_projection(query), (-1, ops.shape(query)[1], 1, self.units)
        )
        columns = ops.reshape(
            self.key_projection(key), (-1, 1, ops.shape(key)[1], self.units)
        )
        logits = ops.reshape(
            self.score(ops.tanh(rows + columns)),
            (-1, 1, ops.shape(query)[1], ops.shape(key)[1]),
        )
        weights = self.attention_softmax(logits, attention_mask)
        return ops.concatenate(ops.unstack(weights @ split_heads(key, 1), axis=1), -1)


class GRUCell(layers.Layer):
    """One step of a GRU, as PyTorch has it (Cho et al., 2014).

    x [batch, 1, width], state [batch, 1, units]: gives the next state.
    """

    def __init__(self, units, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.input_gates = layers.Dense(3 * units, dtype=dtype)
        self.state_gates = layers.Dense(3 * units, dtype=dtype)

    def call(self, x, state):
        reset, update, new = ops.split(self.input_gates(x), 3, axis=-1)
        reset_state, update_state, new_state = ops.split(
            self.state_gates(state), 3, axis=-1
        )
        update = ops.sigmoid(update + update_state)
        new = ops.tanh(new + ops.sigmoid(reset + reset_state) * new_state)
        return (1 - update) * new + update * state


class BahdanauStep(layers.Layer):
    """What was seen from the last state enters the next one."""

    def __init__(self, state_width, units, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.attention = AdditiveAttention(state_width, units, dtype=dtype)
        self.cell = GRUCell(units, dtype=dtype)

    def call(self, x, state, memory, memory_mask=None):
        context = self.attention(state, memory, attention_mask=memory_mask)
        return self.cell(ops.concatenate([x, context], axis=-1), state)


class BahdanauDecoder(layers.Layer):
    """A recurrent decoder that attends before each step (Bahdanau et al., 2015).

    x [batch, time, width], memory [batch, keys, width]: its states [batch, time, units].
    The first state is computed from the mean of the memory.
    """

    def __init__(self, units, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.units = units
        self.first_state = layers.Dense(units, activation="tanh", dtype=dtype)
        self.step = BahdanauStep(units, units, dtype=dtype)

    def call(self, x, memory, memory_mask=None, attention_mask=None):
        state = ops.reshape(
            self.first_state(
                ops.mean(memory, axis=1)
                if memory_mask is None
                else masked_mean(memory, memory_mask)
            ),
            (-1, 1, self.units),
        )
        return scan(
            self.step, x, (state,), memory, memory_mask=memory_mask, mask=attention_mask
        )[0]


@keras.saving.register_keras_serializable("RecurrentTranslator")
class RecurrentTranslator(TranslatingNetwork):
    """The network RecurrentTranslator."""

    input_names = ("source", "target")

    def __init__(self, dtype=None, **options):
        super().__init__(dtype=dtype, **options)
        self.embedding_0 = layers.Embedding(8000, 128, dtype=dtype)
        self.bidirectional_0 = Bidirectional(
            GRU(128, return_sequences=True, dtype=dtype), dtype=dtype
        )
        self.embedding_1 = layers.Embedding(8000, 128, dtype=dtype)
        self.bahdanau_decoder_0 = BahdanauDecoder(units=256, dtype=dtype)
        self.dropout_0 = layers.Dropout(0.2, dtype=dtype)
        self.output_0 = layers.Dense(8000, activation="softmax", dtype=dtype)
        self.past_mask = Cache(axis=-1)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        return {"bahdanau_decoder_0": self.bahdanau_decoder_0.step.attention}

    def call(self, inputs, return_attention=False):
        """Return the output [batch, time, 8000], or (output, attention maps).

        inputs: a mapping of
            source: integers [batch, time]
            target: integers [batch, time]
        """
        if return_attention:
            return self.run_with_attention(inputs)
        return self.decode(inputs["target"], *self.encode(inputs["source"]))

    def encode(self, source):
        """Return what `decode` needs of source [batch, time]."""
        source_mask = ops.not_equal(source, 0)[:, None, None, :]
        source = self.embedding_0(source)
        source = self.bidirectional_0(source, mask=source_mask)
        return source, source_mask

    def decode(self, target, source, source_mask):
        """Return the output for target [batch, time]."""
        target_mask = self.past_mask(ops.not_equal(target, 0)[:, None, None, :])
        target = self.embedding_1(target)
        target = self.bahdanau_decoder_0(
            target, memory=source, memory_mask=source_mask, attention_mask=target_mask
        )
        target = self.dropout_0(target)
        return self.output_0(target)


def create_model(dtype="float32"):
    """Return the network with random weights."""
    model = RecurrentTranslator(dtype=dtype)
    model.build({"source": (None, None), "target": (None, None)})
    return model


def create_loss():
    """Return the mean loss of (class ids [batch, time], probabilities [batch, time, 8000])."""
    return keras.losses.SparseCategoricalCrossentropy(
        reduction="mean_with_sample_weight"
    )


def create_optimizer():
    """Return a new optimizer."""
    return keras.optimizers.Adam(learning_rate=0.0005)


def train(model, inputs, targets, epochs=10, batch_size=32, validation_split=0.0):
    """Train, printing each epoch; return {name: [value of each epoch]}."""
    model.compile(create_optimizer(), create_loss())
    options = {"batch_size": batch_size, "validation_split": validation_split}
    options["sample_weight"] = np.not_equal(inputs["target"], 0)
    return model.fit(inputs, targets, epochs=epochs, verbose=2, **options).history
