package sink_test

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// poster writes each record by a request of its own: POST /TOPIC with the value, a text without a schema.
type poster struct{}

func (poster) Describe() wit.Description {
	return wit.Description{Name: "poster", Version: "1.0.0", Components: []wit.Component{
		{Name: "example.Poster", Kind: wit.ComponentSink, Documentation: "Posts texts."}}}
}

func (poster) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.Inquiry, error) {
	return wit.Inquiry{Done: &[]wit.Examined{}}, nil
}

// Open needs nothing of the service.
func (poster) Open(string, []wit.Setting, []byte, []wit.Response) (wit.SinkOpening, error) {
	return wit.SinkOpening{Ready: &wit.SinkOpened{}}, nil
}

// Encode says of each row what becomes of it: a request, or that it is left out. Requests of one lane go one after
// another, so that records of one partition keep their order.
func (poster) Encode(_ []byte, _ []wit.Schema, topics []string, rows []wit.Row, data []byte, _ []wit.RecordID,
	_ []string, _ []wit.Hint) (d wit.Deliveries, err error) {
	for i, r := range rows {
		number := uint32(i)
		if r.Value.Form != wit.Dynamic {
			d.Ignored = append(d.Ignored, number)
			continue
		}
		value, _, err := datum.ReadDynamic(data[r.Value.Start : r.Value.Start+r.Value.Size])
		if err != nil {
			return d, err
		}
		body, err := json.Marshal(value)
		if err != nil {
			return d, err
		}
		d.Ready = append(d.Ready, wit.Delivery{Request: wit.Request{Method: "POST", Target: "/" + topics[r.Topic],
			Body: body},
			Rows: []uint32{number}, Lane: uint32(r.Partition)})
	}
	return d, nil
}

// Settle judges an answer. Status 0 says that none came: the row may have been written, so that it must not be sent
// again without a look.
func (poster) Settle(_, _ []byte, rows []uint32, answer wit.Response) (s wit.Settled, err error) {
	verdict := wit.Verdict{Written: wit.Chosen}
	if answer.Status < 200 || answer.Status > 299 {
		verdict = wit.Verdict{Refused: &wit.Fault{Kind: wit.FaultData,
			Message: "answered " + strconv.Itoa(int(answer.Status))}}
	}
	for range rows {
		s.Verdicts = append(s.Verdicts, verdict)
	}
	return s, nil
}

// A plugin registers itself in an init function; importing the package gives the module its exports.
func ExampleRegister() {
	sink.Register(poster{})
}

// Its functions are called without a host, too.
func ExamplePlugin() {
	data, _ := datum.AppendDynamic(nil, "hello")
	rows := []wit.Row{{Value: wit.Datum{Form: wit.Dynamic, Size: uint32(len(data))}}, {}}
	d, err := poster{}.Encode(nil, nil, []string{"texts"}, rows, data, nil, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s %s, left out: %d\n", d.Ready[0].Request.Method, d.Ready[0].Request.Target,
		d.Ready[0].Request.Body, d.Ignored)
	s, _ := poster{}.Settle(nil, nil, d.Ready[0].Rows, wit.Response{Status: 400})
	fmt.Println(s.Verdicts[0].Refused.Message)
	// Output:
	// POST /texts "hello", left out: [1]
	// answered 400
}
