package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// rawKeys are the encoded keys in an entity's address.
func (f *Feed) rawKeys(address string) ([][]byte, error) {
	_, keys, err := uri.ParsePredicate(address)
	if err != nil {
		return nil, err
	}
	raws := make([][]byte, len(f.layout.Keys))
	for k, column := range f.layout.Keys {
		c := f.layout.Columns[column]
		c.Optional = false
		i := slices.IndexFunc(keys, func(key uri.Key) bool { return key.Name == c.Name })
		if i < 0 && len(keys) == 1 && keys[0].Name == "" && len(raws) == 1 {
			i = 0
		}
		if i < 0 {
			return nil, errors.New("expected the key " + c.Name + ", found none")
		}
		if raws[k], err = decode.AppendText(nil, f.layout, &c, []byte(keys[i].Literal.Text)); err != nil {
			return nil, err
		}
	}
	return raws, nil
}

// joinKey is the key of which the parts are given.
func (f *Feed) joinKey(raws [][]byte) []byte {
	return append(slices.Concat(raws...), f.layout.KeyTail...)
}

// splitKey is joinKey's reverse, nil where the key can't be read.
func (f *Feed) splitKey(key []byte) (raws [][]byte) {
	for k, column := range f.layout.Keys {
		p := f.structure().Property(f.layout.Columns[column].Name)
		_, size, err := value.Text(p.Type.Primitive, f.key.Nodes, f.key.Nodes[0].Members[k].Node, key)
		if err != nil {
			return nil
		}
		raws = append(raws, slices.Clone(key[:size]))
		key = key[size:]
	}
	return raws
}

// predicate is the part of an entity's address that holds its keys.
func (f *Feed) predicate(raws [][]byte) (string, error) {
	var keys []uri.Key
	for k, column := range f.layout.Keys {
		p := f.structure().Property(f.layout.Columns[column].Name)
		text, _, err := value.Text(p.Type.Primitive, f.key.Nodes, f.key.Nodes[0].Members[k].Node, raws[k])
		if err != nil {
			return "", err
		}
		keys = append(keys, uri.Key{Name: p.Name, Literal: uri.Literal{Type: p.Type.Primitive, Text: text}})
	}
	return string(uri.AppendPredicate(nil, keys)), nil
}

// equals is the condition that an entity has these keys.
func (f *Feed) equals(raws [][]byte) string {
	var parts []string
	for k, column := range f.layout.Keys {
		p := f.structure().Property(f.layout.Columns[column].Name)
		text, _, _ := value.Text(p.Type.Primitive, f.key.Nodes, f.key.Nodes[0].Members[k].Node, raws[k])
		parts = append(parts, p.Name+" eq "+string(uri.AppendLiteral(nil, uri.Literal{Type: p.Type.Primitive,
			Text: text})))
	}
	return strings.Join(parts, " and ")
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }

func keyOf(row *wit.Row, data []byte) []byte { return data[row.Key.Start : row.Key.Start+row.Key.Size] }
