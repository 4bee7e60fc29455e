package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

// mediaText is that of a configuration as a file of properties has it.
const mediaText = "text/x-java-properties"

// asker asks REST in the name of whoever sent a request.
type asker struct {
	api http.Handler
	r   *http.Request
}

// refusal is an answer of REST that says no.
type refusal struct {
	Status int
	Text   string
}

func (r *refusal) Error() string { return r.Text }

// isRefused tells whether REST said no with a status.
func isRefused(err error, status int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.Status == status
}

// maxAnswer is how many bytes an answer may have: twice a sample's texts of 4 MiB, each character of which JSON may
// write as two, and what stands around them.
const maxAnswer = 16 << 20

// get asks for a route and reads the answer; values take the place of names in braces, see [rest.Target].
func (a asker) get(route string, into any, values ...string) error {
	_, err := a.call(route, nil, nil, into, values...)
	return err
}

// pairs are names and values of a form or a query, which are given in turn, without those that are empty.
func pairs(given ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(given); i += 2 {
		if given[i+1] != "" {
			form.Set(given[i], given[i+1])
		}
	}
	return form
}

// getOfGroup asks for what all workers of a group know or, where no worker answers for all, for what this one knows:
// alone says why.
func (a asker) getOfGroup(route string, asked url.Values, into any, values ...string) (alone, err error) {
	if alone = a.get(route+"?"+asked.Encode(), into, values...); alone != nil {
		asked.Set("own", "true")
		err = a.get(route+"?"+asked.Encode(), into, values...)
	}
	return alone, err
}

// call sends a request. body is text, or a value that is sent as JSON; nil: there is none. into is a text, or a value
// that JSON is read into. Refusals have the worker's own text.
func (a asker) call(route string, header http.Header, body, into any, values ...string) (http.Header, error) {
	method, target := rest.Target(route, values...)
	at, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	r := a.r.Clone(a.r.Context())
	r.Method, r.URL, r.RequestURI = method, at, target
	r.Body, r.ContentLength = http.NoBody, 0
	r.Header = http.Header{"Accept": {"application/json"}}
	if logon := a.r.Header["Authorization"]; logon != nil {
		r.Header["Authorization"] = logon
	}
	if _, text := into.(*string); text {
		r.Header.Set("Accept", mediaText)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if body != nil {
		sent, kind := []byte(nil), "application/json"
		if text, ok := body.(string); ok {
			sent, kind = []byte(text), mediaText
		} else if sent, err = json.Marshal(body); err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", kind)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
	}
	answer, err := rest.Local{Handler: a.api}.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("expected an answer of at most %d bytes to %s %s", maxAnswer, method, at.Path)
	case answer.StatusCode >= http.StatusMultipleChoices:
		var said struct{ Message string }
		if json.Unmarshal(data, &said) != nil || said.Message == "" {
			said.Message = answer.Status
		}
		return answer.Header, &refusal{answer.StatusCode, shown.Text(said.Message)}
	}
	switch into := into.(type) {
	case nil:
	case *string:
		*into = string(data)
	default:
		if len(data) > 0 {
			err = json.Unmarshal(data, into)
		}
	}
	return answer.Header, err
}
