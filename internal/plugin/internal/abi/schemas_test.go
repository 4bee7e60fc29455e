package abi

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// newTranslator returns a translator with one received schema (1) and one declared schema (GuestSchemas).
func newTranslator(t testing.TB) Translator {
	t.Helper()
	s := NewTranslator(record.NewRegistry(), nil)
	registered, err := s.registry.Intern([]wit.SchemaNode{{Kind: wit.String}})
	require.NoError(t, err)
	require.NoError(t, s.Need(registered.ID))
	s.Sent(true)
	require.NoError(t, s.Declare([]wit.Schema{{ID: wit.GuestSchemas, Nodes: []wit.SchemaNode{{Kind: wit.Int32}}}}))
	return s
}

// An instance that declares equal schemas again is charged for them once; too many are rejected, and before that the
// instance is replaced.
func TestDeclaredSchemaBytesAreBounded(t *testing.T) {
	translator := NewTranslator(record.NewRegistry().ForConnector("c"), nil)
	big := func(i int) []wit.SchemaNode {
		return []wit.SchemaNode{{Kind: wit.String, Doc: wit.Ptr(fmt.Sprint(i) + strings.Repeat("d", 3<<20))}}
	}
	id := uint32(wit.GuestSchemas)
	declare := func(nodes []wit.SchemaNode) error {
		id++
		return translator.Declare([]wit.Schema{{ID: id, Nodes: nodes}})
	}
	for range 20 {
		require.NoError(t, declare(big(0)))
	}
	assert.True(t, !translator.NeedsRecycling(),
		"expected one schema, declared 20 times, not to require another instance")
	var err error
	recycled := 0
	n := 1
	for ; err == nil && n < 100; n++ {
		err = declare(big(n))
		if translator.NeedsRecycling() {
			recycled++
		}
	}
	assert.True(t, err != nil && strings.Contains(err.Error(), "declares schemas of more than 33554432 bytes") &&
		recycled >= 3 && n <= 12,
		"expected an error within 12 schemas, and recycling before, found %d schemas, %d with recycling, %v", n,
		recycled, err)
}

// Values that are nested too deeply are rejected, with or without structs.
func TestDeepValuesAreRejected(t *testing.T) {
	s := newTranslator(t)
	nested := func(n int, inside ...byte) []byte {
		b := []byte(strings.Repeat(string([]byte{connectdata.TagArray, 2}), n))
		return append(b, inside...)
	}
	structs := append(connectdata.AppendNumber([]byte{connectdata.TagStruct}, 1), 0)
	for depth, isValid := range map[int]bool{10: true, 999: true, 1000: true, 1001: false, 5000: false} {
		for name, b := range map[string][]byte{
			"null":   nested(depth, connectdata.TagNull),
			"struct": nested(depth, structs...),
		} {
			if _, err := s.findReferences(wit.Schemaless, b, NewViolation); isValid != (err == nil) {
				t.Errorf("%s nested %d deep: expected valid %t, found %v", name, depth, isValid, err)
			}
		}
	}
	headers := connectdata.AppendHeaders(nil, make([]connectdata.Header, connectdata.MaxHeaders+1))
	_, err := s.findReferences(wit.Raw, headers, NewViolation)
	assert.Error(t, err, "more than 10000 headers")
	// several megabytes
	wide := connectdata.AppendNumber([]byte{connectdata.TagArray}, 8<<20)
	wide = append(wide, make([]byte, 8<<20)...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := s.findReferences(wit.Schemaless, wide, NewViolation); err != nil || ctx.Err() != nil {
		t.Error(err, ctx.Err())
	}
}

// FuzzHeaders compares the header scanner with package connectdata: what that package reads is scanned without an
// error.
func FuzzHeaders(f *testing.F) {
	f.Add(connectdata.AppendHeaders(nil, []connectdata.Header{
		{Name: "a", Encoding: wit.WithSchema, Schema: 1, Value: []byte{2}},
		{Name: "b", Encoding: wit.Schemaless, Value: []byte{connectdata.TagStruct, 2, 0}},
		{Name: "", Encoding: wit.Raw},
	}))
	f.Fuzz(func(t *testing.T, block []byte) {
		headers, err := connectdata.Headers(nil, block)
		if err != nil {
			return
		}
		for _, h := range headers {
			if h.Encoding == wit.Schemaless && connectdata.CheckSchemaless(h.Value) != nil && len(h.Value) != 1 {
				return
			}
		}
		s := newTranslator(t)
		_, err = s.findReferences(wit.Raw, block, NewViolation)
		assert.True(t, err == nil, "%x: %v", block, err)
	})
}

func TestDeclaredSchemasAreBounded(t *testing.T) {
	s := newTranslator(t)
	var err error
	n := 0
	for ; err == nil && n < 2*maxDeclaredSchemas; n++ {
		name := strconv.Itoa(n)
		err = s.Declare([]wit.Schema{{ID: wit.GuestSchemas + 1 + uint32(n),
			Nodes: []wit.SchemaNode{{Kind: wit.String, Name: &name}}}})
	}
	assert.True(t, err != nil && err.Error() == "declares more than 10000 schemas" && n == maxDeclaredSchemas,
		"%d: %v", n, err)
	for want, w := range map[string]wit.Schema{
		"declares schema 7: expected an ID of at least 2147483648, since lower ones are the host's": {ID: 7,
			Nodes: []wit.SchemaNode{{}}},
		"declares schema 0x80000000 twice with different nodes": {ID: wit.GuestSchemas,
			Nodes: []wit.SchemaNode{{Kind: wit.Bytes}}},
		"declares schema 0x80000009: schema: expected at least one node, found none": {ID: wit.GuestSchemas + 9},
	} {
		err := s.Declare([]wit.Schema{w})
		assert.True(t, err != nil && err.Error() == want, "expected %q, found %v", want, err)
	}
	err = s.Declare([]wit.Schema{{ID: wit.GuestSchemas, Nodes: []wit.SchemaNode{{Kind: wit.Int32}}}})
	assert.NoError(t, err, "the same schema again")
}
