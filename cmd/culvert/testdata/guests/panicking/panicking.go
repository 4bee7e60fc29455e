// This file is put into the package of odata-sink, whose init in main.go it comes behind.
package main

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/write"
	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/wit"
)

// panicking is the plugin, which panics on each record that holds a word.
type panicking struct{ sink.Plugin }

func init() { sink.Register(panicking{write.New(version)}) }

func (p panicking) Encode(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string, hints []wit.Hint) (wit.Deliveries, error) {
	for _, row := range rows {
		if bytes.Contains(data[row.Value.Start:][:row.Value.Size], []byte("Poison")) {
			panic("a record that holds Poison")
		}
	}
	return p.Plugin.Encode(context, schemas, topics, rows, data, origins, originTopics, hints)
}
