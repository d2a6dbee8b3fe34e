"""RecurrentTranslator for pytorch.

From recurrent_translator.neural by neural-attn 0.1.0.
"""

import torch
import torch.nn.functional as F
from torch import nn

from recurrent_translator_alone_pytorch_layers import (
    AttentionLayer,
    Cache,
    TranslatingNetwork,
    masked_mean,
    reshape_steps,
    rows_of,
    run_recurrence,
    scan,
    split_heads,
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
        self.query_projection = nn.Linear(d_model, units, bias=False)
        self.key_projection = nn.Linear(key_width, units)
        self.score = nn.Linear(units, 1, bias=False)

    def forward(self, query, key=None, attention_mask=None):
        if key is None:
            key = query
        # each query meets each key
        rows = reshape_steps(
            self.query_projection(query), -1, query.size(1), 1, self.units
        )
        columns = reshape_steps(
            self.key_projection(key), -1, 1, key.size(1), self.units
        )
        logits = reshape_steps(
            self.score(torch.tanh(rows + columns)), -1, 1, query.size(1), key.size(1)
        )
        weights = self.attention_softmax(logits, attention_mask)
        return (weights @ split_heads(key, 1)).transpose(1, 2).flatten(2)


class GRUCell(nn.Module):
    """One step of a GRU, as PyTorch has it (Cho et al., 2014).

    x [batch, 1, width], state [batch, 1, units]: gives the next state.
    """

    def __init__(self, x_width, state_width, units):
        super().__init__()
        self.input_gates = nn.Linear(x_width, 3 * units)
        self.state_gates = nn.Linear(state_width, 3 * units)

    def forward(self, x, state):
        reset, update, new = self.input_gates(x).chunk(3, dim=-1)
        reset_state, update_state, new_state = self.state_gates(state).chunk(3, dim=-1)
        update = torch.sigmoid(update + update_state)
        new = torch.tanh(new + torch.sigmoid(reset + reset_state) * new_state)
        return (1 - update) * new + update * state


class BahdanauStep(nn.Module):
    """What was seen from the last state enters the next one."""

    def __init__(self, state_width, memory_width, x_width, units):
        super().__init__()
        self.attention = AdditiveAttention(state_width, memory_width, units)
        self.cell = GRUCell(
            x_width=x_width + memory_width, state_width=state_width, units=units
        )

    def forward(self, x, state, memory, memory_mask=None):
        context = self.attention(state, memory, attention_mask=memory_mask)
        return self.cell(torch.cat([x, context], dim=-1), state)


class BahdanauDecoder(nn.Module):
    """A recurrent decoder that attends before each step (Bahdanau et al., 2015).

    x [batch, time, width], memory [batch, keys, width]: its states [batch, time, units].
    The first state is computed from the mean of the memory.
    """

    def __init__(self, memory_width, x_width, units):
        super().__init__()
        self.units = units
        self.first_state = nn.Linear(memory_width, units)
        self.step = BahdanauStep(units, memory_width, x_width, units)

    def forward(self, x, memory, memory_mask=None, attention_mask=None):
        state = torch.tanh(
            self.first_state(
                memory.mean(dim=1)
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
        self.embedding_0 = nn.Embedding(8000, 128)
        self.bidirectional_0 = nn.GRU(128, 128, batch_first=True, bidirectional=True)
        self.embedding_1 = nn.Embedding(8000, 128)
        self.bahdanau_decoder_0 = BahdanauDecoder(
            memory_width=2 * 128, x_width=128, units=256
        )
        self.dropout_0 = nn.Dropout(0.2)
        self.output_0 = nn.Linear(256, 8000)
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

    def forward_logits(self, inputs):
        """Return what the last activation is of, to be trained on."""
        return self.decode_logits(inputs["target"], *self.encode(inputs["source"]))

    def encode(self, source):
        """Return what `decode` needs of source [batch, time]."""
        source_mask = (source != 0)[:, None, None, :]
        source = self.embedding_0(source)
        source = run_recurrence(
            self.bidirectional_0, source, source_mask, return_sequences=True
        )
        return source, source_mask

    def decode(self, target, source, source_mask):
        """Return the output for target [batch, time]."""
        return F.softmax(self.decode_logits(target, source, source_mask), dim=-1)

    def decode_logits(self, target, source, source_mask):
        """Return what the last activation of `decode` is of."""
        target_mask = self.past_mask((target != 0)[:, None, None, :])
        target = self.embedding_1(target)
        target = self.bahdanau_decoder_0(
            target, memory=source, memory_mask=source_mask, attention_mask=target_mask
        )
        target = self.dropout_0(target)
        return self.output_0(target)


def create_model(dtype="float32"):
    """Return the network with random weights, in evaluation mode."""
    return RecurrentTranslator().to(getattr(torch, dtype)).eval()


def create_loss():
    """Return the mean loss of (logits [batch, time, 8000], class ids [batch, time], -100 for padding)."""

    def loss(outputs, targets):
        total = F.cross_entropy(
            outputs.flatten(0, -2), targets.flatten(), reduction="sum"
        )
        real = (targets != -100).sum().clamp(min=1)
        return total / real

    return loss


def create_optimizer(model):
    """Return a new optimizer for the weights of the model."""
    return torch.optim.Adam(model.parameters(), lr=0.0005, eps=1e-07)


def train(model, inputs, targets, epochs=10, batch_size=32, validation_split=0.0):
    """Train, printing each epoch; return {name: [value of each epoch]}."""
    measures = {"loss": create_loss()}
    optimizer, history = create_optimizer(model), {}
    device = next(model.parameters()).device
    size = int(len(targets) * (1 - validation_split))
    for epoch in range(1, epochs + 1):
        splits = {"": torch.randperm(size), "val_": torch.arange(size, len(targets))}
        for prefix in ("", "val_") if size < len(targets) else ("",):
            examples = splits[prefix]
            model.train(prefix == "")
            totals = dict.fromkeys(measures, 0.0)
            for rows in examples.split(batch_size):
                batch = rows_of(inputs, rows, device)
                expected = targets[rows].to(device)
                padding = batch["target"] == 0
                expected = expected.masked_fill(padding, -100)
                with torch.set_grad_enabled(model.training):
                    outputs = model.forward_logits(batch)
                values = {name: f(outputs, expected) for name, f in measures.items()}
                if model.training:
                    optimizer.zero_grad()
                    values["loss"].backward()
                    optimizer.step()
                for name, value in values.items():
                    totals[name] += value.item() * len(rows) / len(examples)
            for name, total in totals.items():
                history.setdefault(prefix + name, []).append(total)
        report = ", ".join(f"{name} {v[-1]:.4f}" for name, v in history.items())
        print(f"epoch {epoch}/{epochs}: {report}")
    model.eval()
    return history
