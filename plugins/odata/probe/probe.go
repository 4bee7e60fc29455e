// Package probe asks OData services about themselves: what a service, its metadata, its entity sets and its catalogue
// answer, and what that means for the settings of a connector. Sources and sinks share it: [Adviser] checks settings
// together with what the service says, for `culvert validate --online` and forms; [Steps] does so step by step, for
// `culvert doctor`; commands ask for what they show.
//
// All of them ask by [Prober.Get]. A function that asks is called again with each round of answers and starts from the
// beginning; what came before is in the state, so no document is requested twice.
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

// Prober holds the answers so far. Requests are distinguished by their tags.
type Prober struct {
	answers []wit.Response
	wanted  []wit.Request
}

// ErrMissing is the error of a request whose answer is not there yet. Who gets it returns it.
var ErrMissing = errors.New("an answer is still missing")

// Open returns a Prober with the answers of all rounds: those of a round before are in the state.
func Open(state []byte, answers []wit.Response) (*Prober, error) {
	p := &Prober{}
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
		if a.Status, a.Body = uint16(status), field(); err != nil {
			return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "the state of a request can't be read"}
		}
		p.answers = append(p.answers, a)
	}
	p.answers = append(p.answers, answers...)
	return p, nil
}

// Get returns the answer to a request, whatever its status, or [ErrMissing].
func (p *Prober) Get(r wit.Request) (*wit.Response, error) {
	for i := range p.answers {
		if p.answers[i].Tag == r.Tag {
			return &p.answers[i], nil
		}
	}
	for i := range p.wanted {
		if p.wanted[i].Tag == r.Tag {
			return nil, ErrMissing
		}
	}
	p.wanted = append(p.wanted, r)
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

// Need returns the requests whose answers are missing, nil if there are none.
func (p *Prober) Need() *wit.RequestBatch {
	if len(p.wanted) == 0 {
		return nil
	}
	need := &wit.RequestBatch{Requests: p.wanted}
	for i := range p.answers {
		a := &p.answers[i]
		for _, field := range []string{a.Tag, a.Target, strconv.Itoa(int(a.Status))} {
			need.State = connectdata.AppendString(need.State, field)
		}
		need.State = connectdata.AppendBytes(need.State, a.Body)
	}
	return need
}

// Run answers a command by a function that asks for documents.
func Run(state []byte, answers []wit.Response, ask func(*Prober) (wit.CommandResult, error)) (wit.CommandResult,
	error) {
	p, err := Open(state, answers)
	if err != nil {
		return wit.CommandResult{}, err
	}
	reply, err := ask(p)
	if errors.Is(err, ErrMissing) {
		return wit.CommandResult{Pending: p.Need()}, nil
	}
	return reply, err
}

// Document is a reply that is JSON.
func Document(v jsontext.Value) wit.CommandResult {
	return wit.CommandResult{Document: wit.Ptr(string(jsontext.Append(nil, v)))}
}

// Member is a member of a JSON object that is a text.
func Member(name, text string) jsontext.Member {
	return jsontext.Member{Name: name, Value: jsontext.NewString(text)}
}

func succeeded(answer *wit.Response) bool { return answer.Status >= 200 && answer.Status <= 299 }
