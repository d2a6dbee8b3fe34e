"""RecurrentTranslator for numpy.

From recurrent_translator.neural by neural-attn 0.1.0.
"""

import numpy as np

from recurrent_translator_alone_numpy_layers import (
    GRU,
    AttentionLayer,
    Cache,
    Dense,
    Dropout,
    Embedding,
    Layer,
    TranslatingNetwork,
    masked_mean,
    merge_heads,
    reshape_steps,
    scan,
    sigmoid,
    softmax,
    split_heads,
    tanh,
)


class AdditiveAttention(AttentionLayer):
    """Attention whose logits are v · tanh(W query + U key) (Bahdanau et al., 2015).

    query [batch, queries, d_model], key and value [batch, keys, width]: the mean of the
    values under the weights.
    """

    def __init__(self, d_model, key_width, units=None):
        super().__init__()
        if units is None:
            units = d_model
        self.units = units
        self.query_projection = Dense(d_model, units, use_bias=False)
        self.key_projection = Dense(key_width, units)
        self.score = Dense(units, 1, use_bias=False)

    def forward(self, query, key=None, attention_mask=None):
        if key is None:
            key = query
        # each query meets each key
        rows = reshape_steps(
            self.query_projection(query), -1, query.shape[1], 1, self.units
        )
        columns = reshape_steps(
            self.key_projection(key), -1, 1, key.shape[1], self.units
        )
        logits = reshape_steps(
            self.score(np.tanh(rows + columns)), -1, 1, query.shape[1], key.shape[1]
        )
        weights = self.attention_softmax(logits, attention_mask)
        return merge_heads(weights @ split_heads(key, 1))


class GRUCell(Layer):
    """One step of a GRU, as PyTorch has it (Cho et al., 2014).

    x [batch, 1, width], state [batch, 1, units]: gives the next state.
    """

    def __init__(self, x_width, state_width, units):
        super().__init__()
        self.input_gates = Dense(x_width, 3 * units)
        self.state_gates = Dense(state_width, 3 * units)

    def forward(self, x, state):
        reset, update, new = np.split(self.input_gates(x), 3, axis=-1)
        reset_state, update_state, new_state = np.split(
            self.state_gates(state), 3, axis=-1
        )
        update = sigmoid(update + update_state)
        new = np.tanh(new + sigmoid(reset + reset_state) * new_state)
        return (1 - update) * new + update * state


class BahdanauStep(Layer):
    """What was seen from the last state enters the next one."""

    def __init__(self, state_width, memory_width, x_width, units):
        super().__init__()
        self.attention = AdditiveAttention(state_width, memory_width, units)
        self.cell = GRUCell(
            x_width=x_width + memory_width, state_width=state_width, units=units
        )

    def forward(self, x, state, memory, memory_mask=None):
        context = self.attention(state, memory, attention_mask=memory_mask)
        return self.cell(np.concatenate([x, context], axis=-1), state)


class BahdanauDecoder(Layer):
    """A recurrent decoder that attends before each step (Bahdanau et al., 2015).

    x [batch, time, width], memory [batch, keys, width]: its states [batch, time, units].
    The first state is computed from the mean of the memory.
    """

    def __init__(self, memory_width, x_width, units):
        super().__init__()
        self.units = units
        self.first_state = Dense(memory_width, units)
        self.step = BahdanauStep(units, memory_width, x_width, units)

    def forward(self, x, memory, memory_mask=None, attention_mask=None):
        state = tanh(
            self.first_state(
                memory.mean(axis=1)
                if memory_mask is None
                else masked_mean(memory, memory_mask)
            )
        ).reshape(-1, 1, self.units)
        return scan(
            self.step, x, (state,), memory, memory_mask=memory_mask, mask=attention_mask
        )[0]


class RecurrentTranslator(TranslatingNetwork):
    """The network RecurrentTranslator."""

    input_names = ("source", "target")

    def __init__(self):
        super().__init__()
        self.embedding_0 = Embedding(8000, 128)
        self.bidirectional_0 = GRU(128, 128, return_sequences=True, merge_mode="concat")
        self.embedding_1 = Embedding(8000, 128)
        self.bahdanau_decoder_0 = BahdanauDecoder(
            memory_width=2 * 128, x_width=128, units=256
        )
        self.dropout_0 = Dropout(0.2)
        self.output_0 = Dense(256, 8000)
        self.past_mask = Cache(axis=-1)

    def attention_layers(self):
        """Return {name of the attention map: layer}."""
        return {"bahdanau_decoder_0": self.bahdanau_decoder_0.step.attention}

    def forward(self, inputs, return_attention=False):
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
        source_mask = (source != 0)[:, None, None, :]
        source = self.embedding_0(source)
        source = self.bidirectional_0(source, source_mask)
        return source, source_mask

    def decode(self, target, source, source_mask):
        """Return the output for target [batch, time]."""
        target_mask = self.past_mask((target != 0)[:, None, None, :])
        target = self.embedding_1(target)
        target = self.bahdanau_decoder_0(
            target, memory=source, memory_mask=source_mask, attention_mask=target_mask
        )
        target = self.dropout_0(target)
        return softmax(self.output_0(target))


def create_model(dtype="float32", seed=0):
    """Return the network with random weights."""
    return RecurrentTranslator().initialize(seed).astype(dtype)
