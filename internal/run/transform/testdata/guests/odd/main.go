// Odd is a plugin for tests of chains: a transform that writes a mark, one that traps, and a predicate. Values are
// structs or maps with a number `n` and a text `s`.
package main

import (
	"errors"
	"os"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
)

// version is set by the linker.
var version = "1.0.0"

func init() { transform.RegisterRecords(odd{}) }

func main() {}

type odd struct{}

func (odd) Describe() wit.Description {
	return wit.Description{Name: "odd", Version: version, Components: []wit.Component{
		{Name: "test.Mark", Kind: wit.ComponentTransformation},
		{Name: "test.Trap", Kind: wit.ComponentTransformation},
		{Name: "test.Odd", Kind: wit.ComponentPredicate},
	}}
}

// New accepts the settings `text`, the mark, and `old`, which is rejected from version 2 on.
func (odd) New(component string, settings []wit.Setting) (transform.Func, error) {
	text := ""
	for _, s := range settings {
		if s.Name == "old" && version[0] > '1' {
			return nil, sdk.NewConfigError("old", "no longer known")
		}
		if s.Name == "text" {
			text = s.Value
		}
	}
	if component == "test.Trap" {
		return func(r *transform.Record) error {
			switch number(r) {
			case 5, 6:
				os.Exit(7)
			case 8:
				return errors.New("eight is refused")
			}
			return nil
		}, nil
	}
	return func(r *transform.Record) error {
		if version == "3.0.0" {
			panic("no version for anybody")
		}
		s, _ := r.Value.Field("s")
		return r.Value.SetField("s", s.(string)+text+version[:1])
	}, nil
}

func number(r *transform.Record) int64 {
	n, _ := r.Value.Field("n")
	return n.(int64)
}

// NewPredicate matches odd numbers, fails on 13, and panics on 666.
func (odd) NewPredicate(string, []wit.Setting) (transform.Predicate, error) {
	return func(r *transform.Record) (bool, error) {
		switch number(r) {
		case 13:
			return false, errors.New("thirteen brings bad luck")
		case 666:
			panic("the number of the beast")
		}
		return number(r)%2 == 1, nil
	}, nil
}
