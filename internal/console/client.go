package console

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

const propertiesType = "text/x-java-properties"

type client struct {
	api http.Handler
	r   *http.Request
}

func refuse(status int, text string) error { return &rest.Refusal{Status: status, Message: text} }

func isRefused(err error, status int) bool {
	r, ok := errors.AsType[*rest.Refusal](err)
	return ok && r.Status == status
}

// maxAnswer exceeds twice the 4 MiB of a sample, since JSON may escape each character.
const maxAnswer = 16 << 20

func (c client) get(route string, into any, values ...string) error {
	_, err := c.call(route, nil, nil, into, values...)
	return err
}

func pairs(namesAndValues ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		if namesAndValues[i+1] != "" {
			form.Set(namesAndValues[i], namesAndValues[i+1])
		}
	}
	return form
}

// getOfGroup reads the data of all workers of a group. If that fails with groupErr, it reads this worker's data.
func (c client) getOfGroup(route string, query url.Values, into any, values ...string) (groupErr, err error) {
	if groupErr = c.get(route+"?"+query.Encode(), into, values...); groupErr != nil {
		query.Set("own", "true")
		err = c.get(route+"?"+query.Encode(), into, values...)
	}
	return groupErr, err
}

// call is [rest.Client.Call] with the user's logon. A *string as into requests properties, unless header has Accept.
func (c client) call(route string, header http.Header, body, into any, values ...string) (http.Header, error) {
	defaults := http.Header{}
	if logon := c.r.Header["Authorization"]; logon != nil {
		defaults["Authorization"] = logon
	}
	if _, ok := into.(*string); ok {
		defaults.Set("Accept", propertiesType)
	}
	worker := rest.Client{URL: "http://worker", Header: defaults, Transport: c, MaxBytes: maxAnswer}
	answered, err := worker.Call(c.r.Context(), route, header, body, into, values...)
	if r, ok := errors.AsType[*rest.Refusal](err); ok {
		r.Message = shown.Text(r.Message)
	}
	return answered, err
}

// RoundTrip passes a request to REST with the connection and Host of the request for the page.
func (c client) RoundTrip(sent *http.Request) (*http.Response, error) {
	r := c.r.Clone(sent.Context())
	r.Method = sent.Method
	r.RequestURI = sent.URL.RequestURI()
	r.Header = sent.Header
	r.URL = &url.URL{Path: sent.URL.Path, RawPath: sent.URL.RawPath, RawQuery: sent.URL.RawQuery}
	r.Body = http.NoBody
	r.ContentLength = sent.ContentLength
	if sent.Body != nil {
		r.Body = sent.Body
	}
	return rest.Local{Handler: c.api}.RoundTrip(r)
}
