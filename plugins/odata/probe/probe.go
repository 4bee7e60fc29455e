// Package probe requests documents that describe OData services, for sources and sinks: [Adviser] for forms and
// `culvert validate --online`, [Steps] for `culvert doctor`, and other commands. Functions that call [Prober.Get] start
// over with each round of responses; earlier responses are in the state, so no document is requested twice.
package probe

import (
	"errors"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Prober holds the responses of all rounds so far, and the requests of the next round.
type Prober struct {
	Dialect   *edm.Dialect // of the services
	responses []wit.Response
	missing   []wit.Request
}

// ErrMissing reports that a response is missing. Callers return it, and [Prober.MissingRequests] returns the request.
var ErrMissing = errors.New("a response is still missing")

// Restore returns a Prober with the responses of the last round, and the earlier responses in the state.
func Restore(dialect *edm.Dialect, state []byte, responses []wit.Response) (*Prober, error) {
	prober := &Prober{Dialect: dialect}
	nextField := func() []byte {
		content, size := connectdata.LengthPrefixed(state)
		state = state[max(size, 0):]
		if size <= 0 {
			state = nil
		}
		return content
	}
	for len(state) > 0 {
		response := wit.Response{Tag: string(nextField()), Target: string(nextField())}
		status, err := strconv.ParseUint(string(nextField()), 10, 16)
		response.Body = nextField()
		response.Status = uint16(status)
		if err != nil {
			return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "the state of a request can't be read"}
		}
		prober.responses = append(prober.responses, response)
	}
	prober.responses = append(prober.responses, responses...)
	return prober, nil
}

// Get returns the response to a request, whatever its status, or [ErrMissing].
func (p *Prober) Get(r wit.Request) (*wit.Response, error) {
	for i := range p.responses {
		if p.responses[i].Tag == r.Tag {
			return &p.responses[i], nil
		}
	}
	for i := range p.missing {
		if p.missing[i].Tag == r.Tag {
			return nil, ErrMissing
		}
	}
	p.missing = append(p.missing, r)
	return nil, ErrMissing
}

// Metadata returns the metadata of a service.
func (p *Prober) Metadata(root string, query uri.Query) (*edm.Model, error) {
	response, err := p.Get(document.MetadataRequest(p.Dialect, root, query))
	if err != nil {
		return nil, err
	}
	return document.ReadMetadata(p.Dialect, root, response)
}

// MissingRequests returns the missing requests, with all responses so far as their state, or nil.
func (p *Prober) MissingRequests() *wit.RequestBatch {
	if len(p.missing) == 0 {
		return nil
	}
	batch := &wit.RequestBatch{Requests: p.missing}
	for i := range p.responses {
		response := &p.responses[i]
		for _, field := range []string{response.Tag, response.Target, strconv.Itoa(int(response.Status))} {
			batch.State = connectdata.AppendString(batch.State, field)
		}
		batch.State = connectdata.AppendBytes(batch.State, response.Body)
	}
	return batch
}

// Run runs a command that requests documents. It returns the missing requests if the command returns [ErrMissing].
func Run(dialect *edm.Dialect, state []byte, responses []wit.Response,
	command func(*Prober) (wit.CommandResult, error)) (wit.CommandResult, error) {
	prober, err := Restore(dialect, state, responses)
	if err != nil {
		return wit.CommandResult{}, err
	}
	result, err := command(prober)
	if errors.Is(err, ErrMissing) {
		return wit.CommandResult{Pending: prober.MissingRequests()}, nil
	}
	return result, err
}

// JSONResult returns a JSON result.
func JSONResult(v jsontext.Value) wit.CommandResult {
	return wit.CommandResult{Document: wit.Ptr(string(jsontext.Append(nil, v)))}
}

// TextMember returns a text member of a JSON object.
func TextMember(name, text string) jsontext.Member {
	return jsontext.Member{Name: name, Value: jsontext.NewString(text)}
}

func isSuccess(response *wit.Response) bool { return response.Status >= 200 && response.Status <= 299 }
