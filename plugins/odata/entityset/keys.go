package entityset

import (
	"slices"
	"strings"
)

// JoinKey is the key of which the parts are given.
func (f *Feed) JoinKey(raws [][]byte) []byte {
	return append(slices.Concat(raws...), f.Layout.KeyTail...)
}

// Clip is the beginning of a text from outside, for messages.
func Clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }
