#!/usr/bin/env bash
# Runs mypy over the package as it is when installed: grammar/ and backends/ are
# subpackages of neural_attn there, which mypy cannot see from the checkout. A tree
# of links shows it the installed layout. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

tree=build/types/neural_attn
rm -rf build/types
mkdir -p "$tree"
for entry in neural_attn/*; do
    case $entry in
        *.py | */py.typed) ln -s "$PWD/$entry" "$tree/" ;;
        */__pycache__) ;;
        *) [ -d "$entry" ] && ln -s "$PWD/$entry" "$tree/" ;;
    esac
done
ln -s "$PWD/grammar" "$PWD/backends" "$tree/"

# From inside the tree: mypy looks in the current folder first. Paths in messages are
# turned back into those of the checkout.
cd build/types
"${PYTHON:-python}" -m mypy --config-file ../../setup.cfg -p neural_attn "$@" \
    | sed -E 's#^neural_attn/(grammar|backends)/#\1/#'
