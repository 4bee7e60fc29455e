// Split is a plugin for tests of chains: a transform that creates one row per topic of the batch for each row, in the
// order of the topics, and all of them a second time.
package main

import (
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
)

func init() { transform.Register(split{}) }

func main() {}

type split struct{}

func (split) Describe() wit.Description {
	return wit.Description{Name: "split", Version: "1.0.0",
		Components: []wit.Component{{Name: "test.Split", Kind: wit.ComponentTransformation}}}
}

func (split) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

func (split) Prepare([]wit.Stage) ([]byte, error) { return []byte("split"), nil }

func (split) Apply(_ []byte, _ []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.ApplyResult, error) {
	a := wit.ApplyResult{Consumed: uint32(len(rows)), Data: data}
	for _, row := range rows {
		for n := range 2 * len(topics) {
			row.Topic = uint32(n % len(topics))
			a.Rows = append(a.Rows, row)
		}
	}
	return a, nil
}

func (split) Test([]byte, []wit.Schema, []string, []wit.Row, []byte) (wit.TestResult, error) {
	return wit.TestResult{}, nil
}
