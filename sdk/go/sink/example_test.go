package sink_test

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// poster writes each record in its own request: POST /TOPIC with the value, a text without a schema.
type poster struct{}

func (poster) Describe() wit.Description {
	return wit.Description{Name: "poster", Version: "1.0.0", Components: []wit.Component{
		{Name: "example.Poster", Kind: wit.ComponentSink, Documentation: "Posts texts."}}}
}

func (poster) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

// Open sends no request to the service.
func (poster) Open(string, []wit.Setting, []byte, []wit.Response) (wit.SinkOpenResult, error) {
	return wit.SinkOpenResult{Ready: &wit.SinkOpened{}}, nil
}

// Encode returns a request for each row, or that the row is ignored. Requests of one lane are sent one after another,
// so records of one partition keep their order.
func (poster) Encode(_ []byte, _ []wit.Schema, topics []string, rows []wit.Row, data []byte, _ []wit.RecordID,
	_ []string, _ []wit.Hint) (d wit.EncodeResult, err error) {
	for i, r := range rows {
		number := uint32(i)
		if r.Value.Encoding != wit.Schemaless {
			d.Ignored = append(d.Ignored, number)
			continue
		}
		value, _, err := connectdata.ReadSchemaless(data[r.Value.Start : r.Value.Start+r.Value.Size])
		if err != nil {
			return d, err
		}
		body, err := json.Marshal(value)
		if err != nil {
			return d, err
		}
		request := wit.Request{Method: "POST", Target: "/" + topics[r.Topic], Body: body}
		d.Ready = append(d.Ready, wit.Delivery{Request: request, Rows: []uint32{number},
			OrderingKey: uint32(r.Partition)})
	}
	return d, nil
}

// HandleResponse evaluates a response. Status 0 means that there was none: the row may have been written, so it must
// not be repeated without a check.
func (poster) HandleResponse(_, _ []byte, rows []uint32, answer wit.Response) (s wit.ResponseResult, err error) {
	verdict := wit.RowResult{Written: wit.Set}
	if answer.Status < 200 || answer.Status > 299 {
		verdict = wit.RowResult{Rejected: &wit.Error{Kind: wit.ErrorData,
			Message: "answered " + strconv.Itoa(int(answer.Status))}}
	}
	for range rows {
		s.Results = append(s.Results, verdict)
	}
	return s, nil
}

// A plugin registers itself in an init function. Importing the package adds the exports to the module.
func ExampleRegister() {
	sink.Register(poster{})
}

// Its functions can also be called without a host.
func ExamplePlugin() {
	data, _ := connectdata.AppendSchemaless(nil, "hello")
	rows := []wit.Row{{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(data))}}, {}}
	d, err := poster{}.Encode(nil, nil, []string{"texts"}, rows, data, nil, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s %s, left out: %d\n", d.Ready[0].Request.Method, d.Ready[0].Request.Target,
		d.Ready[0].Request.Body, d.Ignored)
	s, _ := poster{}.HandleResponse(nil, nil, d.Ready[0].Rows, wit.Response{Status: 400})
	fmt.Println(s.Results[0].Rejected.Message)
	// Output:
	// POST /texts "hello", left out: [1]
	// answered 400
}
