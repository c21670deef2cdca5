#!/usr/bin/env bash
# Packages: k8s.io/apimachinery v0.36.2 (Go module).
# Expected: one message of protobuf called TypeMeta, or two that agree.
# Seen: the one around every answer of the API server (`runtime.Unknown`) numbers apiVersion 1 and kind 2; that of
#   `meta.v1` numbers kind 1 and apiVersion 2. Both are texts, so decoding with the wrong one raises no error.
# Output:
#   pkg/runtime: apiVersion 1, kind 2
#   pkg/apis/meta/v1: kind 1, apiVersion 2
#   written with the one and read with the other: apiVersion PartialObjectMetadataList, kind meta.k8s.io/v1
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOMODCACHE="$work/modules" GOFLAGS=-mod=mod
folder=$(cd "$work" && go mod download -json k8s.io/apimachinery@v0.36.2 | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
mkdir "$work/program"
cd "$work/program"
cat >go.mod <<'GOMOD'
module example.com/typemeta
go 1.26
require k8s.io/apimachinery v0.36.2
GOMOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func main() {
	written, err := (&runtime.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}).Marshal()
	if err != nil {
		panic(err)
	}
	var read meta.TypeMeta
	if err := read.Unmarshal(written); err != nil {
		panic(err)
	}
	fmt.Printf("written with the one and read with the other: apiVersion %s, kind %s\n", read.APIVersion, read.Kind)
}
GO
numbers() {
  sed -n '/^message TypeMeta {/,/^}/s/^  optional string \(.*\) = \([0-9]*\);/\1 \2/p' "$folder/$1/generated.proto" | paste -sd, | sed 's/,/, /'
}
go mod tidy 2>"$work/tidy" || { cat "$work/tidy"; exit 1; }
seen=$(
  echo "pkg/runtime: $(numbers pkg/runtime)"
  echo "pkg/apis/meta/v1: $(numbers pkg/apis/meta/v1)"
  go run .
)
echo "$seen"
expected='pkg/runtime: apiVersion 1, kind 2
pkg/apis/meta/v1: kind 1, apiVersion 2
written with the one and read with the other: apiVersion PartialObjectMetadataList, kind meta.k8s.io/v1'
[ "$seen" = "$expected" ] || { echo 'changed: the two messages agree now'; exit 1; }
echo 'ok: still so (k8s.io/apimachinery v0.36.2)'
