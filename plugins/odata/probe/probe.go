// Package probe requests documents that describe OData services, for sources and sinks: [Adviser] for forms and
// `culvert validate --online`, [Steps] for `culvert doctor`, and other commands. Functions that call [Prober.Get] start
// over with each round of responses; earlier responses are in the state, so no document is requested twice.
package probe

import (
	"errors"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Prober holds the responses of all rounds so far, and the requests of the next round.
type Prober struct {
	answers []wit.Response
	missing []wit.Request
}

// ErrMissing reports that a response is missing. Callers return it, and [Prober.MissingRequests] returns the request.
var ErrMissing = errors.New("a response is still missing")

// Restore returns a Prober with the responses of the last round, and the earlier responses in the state.
func Restore(state []byte, answers []wit.Response) (*Prober, error) {
	prober := &Prober{}
	field := func() []byte {
		content, size := connectdata.LengthPrefixed(state)
		state = state[max(size, 0):]
		if size <= 0 {
			state = nil
		}
		return content
	}
	for len(state) > 0 {
		a := wit.Response{Tag: string(field()), Target: string(field())}
		status, err := strconv.ParseUint(string(field()), 10, 16)
		a.Body = field()
		a.Status = uint16(status)
		if err != nil {
			return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "the state of a request can't be read"}
		}
		prober.answers = append(prober.answers, a)
	}
	prober.answers = append(prober.answers, answers...)
	return prober, nil
}

// Get returns the response to a request, whatever its status, or [ErrMissing].
func (p *Prober) Get(r wit.Request) (*wit.Response, error) {
	for i := range p.answers {
		if p.answers[i].Tag == r.Tag {
			return &p.answers[i], nil
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
	answer, err := p.Get(service.MetadataRequest(root, query))
	if err != nil {
		return nil, err
	}
	return service.ReadMetadata(root, answer)
}

// MissingRequests returns the missing requests, with all responses so far as their state, or nil.
func (p *Prober) MissingRequests() *wit.RequestBatch {
	if len(p.missing) == 0 {
		return nil
	}
	need := &wit.RequestBatch{Requests: p.missing}
	for i := range p.answers {
		a := &p.answers[i]
		for _, field := range []string{a.Tag, a.Target, strconv.Itoa(int(a.Status))} {
			need.State = connectdata.AppendString(need.State, field)
		}
		need.State = connectdata.AppendBytes(need.State, a.Body)
	}
	return need
}

// Run runs a command that requests documents. It returns the missing requests if the command returns [ErrMissing].
func Run(state []byte, answers []wit.Response,
	command func(*Prober) (wit.CommandResult, error)) (wit.CommandResult, error) {
	prober, err := Restore(state, answers)
	if err != nil {
		return wit.CommandResult{}, err
	}
	reply, err := command(prober)
	if errors.Is(err, ErrMissing) {
		return wit.CommandResult{Pending: prober.MissingRequests()}, nil
	}
	return reply, err
}

// JSONResult returns a JSON result.
func JSONResult(v jsontext.Value) wit.CommandResult {
	return wit.CommandResult{Document: wit.Ptr(string(jsontext.Append(nil, v)))}
}

// TextMember returns a text member of a JSON object.
func TextMember(name, text string) jsontext.Member {
	return jsontext.Member{Name: name, Value: jsontext.NewString(text)}
}

func succeeded(answer *wit.Response) bool { return answer.Status >= 200 && answer.Status <= 299 }
