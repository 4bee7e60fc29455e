// Plugin-transform is a template for a transform: it masks text fields, except their last characters.
//
//	transforms=mask
//	transforms.mask.type=example.MaskText
//	transforms.mask.fields=IBAN,Phone
//	transforms.mask.keep=4
package main

import (
	"strconv"
	"strings"
	"unicode/utf8"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
)

func init() { transform.RegisterRecords(maskText{}) }

// main does not run: a plugin is a library whose exports the host calls.
func main() {}

type maskText struct{}

// Describe declares the transform and its settings, which decides parsing, defaults, validation and documentation.
func (maskText) Describe() wit.Description {
	return wit.Description{
		Name: "example-transform", Version: "1.0.0", Documentation: "Masks text fields of a record's value.",
		Components: []wit.Component{{
			Name: "example.MaskText", Kind: wit.ComponentTransformation,
			Documentation: "Masks text fields of a record's value.",
			Settings: []wit.ConfigKey{
				{Name: "fields", Kind: wit.KindList, Importance: wit.High,
					Documentation: "Names of the text fields to mask, separated by commas.",
					Rules:         []wit.Rule{{Required: wit.Set}}},
				{Name: "keep", Kind: wit.KindInt, DefaultValue: wit.Ptr("0"), Importance: wit.Low,
					Documentation: "Number of characters at the end that stay readable.",
					Rules:         []wit.Rule{{AtLeast: wit.Ptr(int64(0))}}},
			},
		}},
	}
}

// New returns the function for a transform with these settings.
func (maskText) New(_ string, settings []wit.Setting) (transform.Func, error) {
	var fields []string
	keep := 0
	for _, s := range settings {
		switch s.Name {
		case "fields":
			for _, name := range strings.Split(s.Value, ",") {
				fields = append(fields, strings.TrimSpace(name))
			}
		case "keep":
			n, err := strconv.Atoi(s.Value)
			if err != nil || n < 0 {
				return nil, sdk.NewConfigError("keep", "expected a number from 0, found "+strconv.Quote(s.Value))
			}
			keep = n
		}
	}
	if len(fields) == 0 {
		return nil, sdk.NewConfigError("fields", "expected the names of fields, found none")
	}
	return func(r *transform.Record) error {
		for _, name := range fields {
			if text, ok := r.Value.String(name); ok {
				if err := r.Value.SetString(name, mask(text, keep)); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// stars are what mask copies from.
const stars = "****************************************************************"

// mask replaces each character by a star, except the last keep ones.
func mask(s string, keep int) string {
	end := len(s)
	for ; keep > 0 && end > 0; keep-- {
		_, size := utf8.DecodeLastRuneInString(s[:end])
		end -= size
	}
	var b strings.Builder
	b.Grow(len(s))
	for n := length(s[:end]); n > 0; n -= len(stars) {
		b.WriteString(stars[:min(n, len(stars))])
	}
	b.WriteString(s[end:])
	return b.String()
}

// length returns the number of characters. Eight bytes of ASCII at a time take a third of the time in Wasm.
func length(s string) int {
	n := 0
	for ; n+8 <= len(s); n += 8 {
		c := s[n : n+8]
		if (c[0]|c[1]|c[2]|c[3]|c[4]|c[5]|c[6]|c[7])&0x80 != 0 {
			break
		}
	}
	return n + utf8.RuneCountInString(s[n:])
}
