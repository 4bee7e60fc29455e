package feed

import (
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// RawKeys are the encoded keys in an entity's address.
func (f *Feed) RawKeys(address string) ([][]byte, error) {
	_, keys, err := uri.ParsePredicate(address)
	if err != nil {
		return nil, err
	}
	raws := make([][]byte, len(f.Layout.Keys))
	for k, column := range f.Layout.Keys {
		c := f.Layout.Columns[column]
		c.Optional = false
		i := slices.IndexFunc(keys, func(key uri.Key) bool { return key.Name == c.Name })
		if i < 0 && len(keys) == 1 && keys[0].Name == "" && len(raws) == 1 {
			i = 0
		}
		if i < 0 {
			return nil, errors.New("expected the key " + c.Name + ", found none")
		}
		if raws[k], err = decode.AppendText(nil, f.Layout, &c, []byte(keys[i].Literal.Text)); err != nil {
			return nil, err
		}
	}
	return raws, nil
}

// JoinKey is the key of which the parts are given.
func (f *Feed) JoinKey(raws [][]byte) []byte {
	return append(slices.Concat(raws...), f.Layout.KeyTail...)
}

// SplitKey is joinKey's reverse, nil where the key can't be read.
func (f *Feed) SplitKey(key []byte) (raws [][]byte) {
	for k, column := range f.Layout.Keys {
		p := f.Structure().Property(f.Layout.Columns[column].Name)
		_, size, err := value.Text(p.Type.Primitive, f.Key.Nodes, f.Key.Nodes[0].Members[k].Node, key)
		if err != nil {
			return nil
		}
		raws = append(raws, slices.Clone(key[:size]))
		key = key[size:]
	}
	return raws
}

// Predicate is the part of an entity's address that holds its keys.
func (f *Feed) Predicate(raws [][]byte) (string, error) {
	var keys []uri.Key
	for k, column := range f.Layout.Keys {
		p := f.Structure().Property(f.Layout.Columns[column].Name)
		text, _, err := value.Text(p.Type.Primitive, f.Key.Nodes, f.Key.Nodes[0].Members[k].Node, raws[k])
		if err != nil {
			return "", err
		}
		keys = append(keys, uri.Key{Name: p.Name, Literal: uri.Literal{Type: p.Type.Primitive, Text: text}})
	}
	return string(uri.AppendPredicate(nil, keys)), nil
}

// Equals is the condition that an entity has these keys.
func (f *Feed) Equals(raws [][]byte) string {
	var parts []string
	for k, column := range f.Layout.Keys {
		p := f.Structure().Property(f.Layout.Columns[column].Name)
		text, _, _ := value.Text(p.Type.Primitive, f.Key.Nodes, f.Key.Nodes[0].Members[k].Node, raws[k])
		parts = append(parts, p.Name+" eq "+string(uri.AppendLiteral(nil, uri.Literal{Type: p.Type.Primitive,
			Text: text})))
	}
	return strings.Join(parts, " and ")
}

// Clip is the beginning of a text from outside, for messages.
func Clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }
