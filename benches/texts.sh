#!/usr/bin/env bash
# Writes real English texts, one a line: the definitions and examples of WordNet (Debian: wordnet-base).
set -euo pipefail
target=${1:?which file?}
cat /usr/share/wordnet/data.{noun,verb,adj,adv} | sed -n 's/^[0-9].*| *//p' >"$target.part"
mv "$target.part" "$target"
wc -l "$target" >&2
