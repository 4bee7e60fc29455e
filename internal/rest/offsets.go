package rest

import (
	"errors"
	"net/http"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// offsetFields is a partition or an offset as JSON. Nil means null or absent.
type offsetFields []wit.OffsetEntry

func (f *offsetFields) UnmarshalJSON(data []byte) error {
	fields, err := offset.ParseJSON(data)
	*f = fields
	return err
}

func (f offsetFields) MarshalJSON() ([]byte, error) {
	if f == nil {
		return []byte("null"), nil
	}
	return offset.AppendJSON(nil, f), nil
}

type offsetEntry struct {
	Partition offsetFields `json:"partition"`
	Offset    offsetFields `json:"offset"`
}

// offsets is the body of a change of offsets. isSet is false if the body is null.
type offsets struct {
	Offsets []offsetEntry `json:"offsets"`
	isSet   bool
}

func (o *offsets) UnmarshalJSON(data []byte) (err error) {
	o.isSet, err = decodeExact(data, map[string]any{"offsets": &o.Offsets})
	return err
}

func (e *offsetEntry) UnmarshalJSON(data []byte) error {
	_, err := decodeExact(data, map[string]any{"partition": &e.Partition, "offset": &e.Offset})
	return err
}

type message struct {
	Message string `json:"message"`
}

func (req *request) offsets() {
	entries, err := req.herder().Offsets(req.timeoutContext(), req.name())
	list := []offsetEntry{}
	for _, e := range entries {
		list = append(list, offsetEntry{Partition: e.Partition, Offset: e.Offset})
	}
	req.replyOffsets(map[string][]offsetEntry{"offsets": list}, err)
}

func (req *request) alterOffsets() {
	var body offsets
	if !req.readJSON(&body) {
		return
	}
	switch {
	case !body.isSet:
		req.fail(http.StatusInternalServerError, "expected offsets as a JSON object, found null")
		return
	case len(body.Offsets) == 0:
		req.fail(http.StatusBadRequest, "Partitions / offsets need to be provided for an alter offsets request")
		return
	}
	var entries []offset.Entry
	for _, e := range body.Offsets {
		entries = append(entries, offset.Entry{Partition: e.Partition, Offset: e.Offset})
	}
	req.replyOffsets(message{"The offsets for this connector have been altered successfully"},
		req.control(func(h Herder) error { return h.AlterOffsets(req.timeoutContext(), req.name(), entries) }))
}

func (req *request) resetOffsets() {
	req.replyOffsets(message{"The offsets for this connector have been reset successfully"},
		req.control(func(h Herder) error { return h.ResetOffsets(req.timeoutContext(), req.name()) }))
}

// replyOffsets is reply with Kafka Connect's error texts, which clients look for.
func (req *request) replyOffsets(v any, err error) {
	var invalid *offset.InvalidError
	var busy *connect.GroupBusyError
	switch {
	case errors.Is(err, connect.ErrNotStopped):
		req.fail(http.StatusBadRequest, "Connectors must be in the STOPPED state before their offsets can be "+
			"modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/"+
			req.name()+"/stop' endpoint")
	case errors.As(err, &invalid):
		req.fail(http.StatusBadRequest, invalid.Message)
	case errors.As(err, &busy):
		req.fail(http.StatusInternalServerError, "Failed to alter consumer group offsets for connector "+req.name()+
			" because its tasks, or those of another worker, have not stopped completely: "+err.Error()+
			". This can be tried again")
	default:
		req.reply(v, err)
	}
}
