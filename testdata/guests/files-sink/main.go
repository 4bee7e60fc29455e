// Files-sink is Kafka's FileStreamSinkConnector as a plugin, as files-source is its source: it sends each record to a
// server as POST /?path=PATH. GET of the same target checks before the first record whether the file can be written.
package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// version is set when the plugin is built.
var version string

func init() { sink.Register(files{schemas: map[uint32][]wit.SchemaNode{}}) }

// main does not run: a plugin is a library whose exports the host calls.
func main() {}

type files struct{ schemas map[uint32][]wit.SchemaNode }

func (files) Describe() wit.Description {
	server := func(name string, kind wit.SettingKind, roleName string) wit.ConfigKey {
		return setting.Define("files."+name, kind, wit.Low, nil, "The server that has the files.", setting.Required(),
			setting.Role(roleName))
	}
	return wit.Description{Name: "files-sink", Version: version, Components: []wit.Component{{
		Name: "org.apache.kafka.connect.file.FileStreamSinkConnector", Kind: wit.ComponentSink,
		Settings: []wit.ConfigKey{
			setting.Define("file", wit.KindString, wit.High, nil, "Destination filename."),
			server("scheme", wit.KindString, role.Scheme), server("address", wit.KindString, role.Address),
			server("port", wit.KindInt, role.Port),
		},
	}}}
}

func (files) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

// Open asks whether the file can be written, as Kafka's connector opens it at once. Its address is the context.
func (files) Open(_ string, settings []wit.Setting, _ []byte, answers []wit.Response) (wit.SinkOpenResult, error) {
	target := ""
	for _, s := range settings {
		if s.Name == "file" {
			target = "/?" + url.Values{"path": {s.Value}}.Encode()
		}
	}
	if len(answers) == 0 {
		return wit.SinkOpenResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Method: "GET", Target: target,
			Repeatable: true}}}}, nil
	}
	if s := answers[0].Status; s != 200 {
		return wit.SinkOpenResult{}, sdk.NewError(wit.ErrorData,
			"Couldn't find or create file: answered "+strconv.Itoa(int(s)))
	}
	return wit.SinkOpenResult{Ready: &wit.SinkOpened{Context: []byte(target)}}, nil
}

func (f files) Encode(context []byte, schemas []wit.Schema, _ []string, rows []wit.Row, data []byte, _ []wit.RecordID,
	_ []string, _ []wit.Hint) (d wit.EncodeResult, err error) {
	for _, s := range schemas {
		f.schemas[s.ID] = s.Nodes
	}
	for i, r := range rows {
		var value any
		b := data[r.Value.Start : r.Value.Start+r.Value.Size]
		switch r.Value.Encoding {
		case wit.WithSchema:
			value, _, err = connectdata.Read(f.schemas[r.Value.Schema], 0, b)
		case wit.Schemaless:
			value, _, err = connectdata.ReadSchemaless(b)
		}
		if err != nil {
			return d, err
		}
		request := wit.Request{Method: "POST", Target: strings.Clone(string(context)), Body: fmt.Appendln(nil, value)}
		d.Ready = append(d.Ready, wit.Delivery{Request: request, Rows: []uint32{uint32(i)}})
	}
	return d, nil
}

func (files) HandleResponse(_, _ []byte, rows []uint32, answer wit.Response) (s wit.ResponseResult, err error) {
	verdict := wit.RowResult{Written: wit.Set}
	if answer.Status != 200 {
		verdict = wit.RowResult{Rejected: sdk.NewError(wit.ErrorData, "answered "+strconv.Itoa(int(answer.Status)))}
	}
	for range rows {
		s.Results = append(s.Results, verdict)
	}
	return s, nil
}
