package console

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

const propertiesType = "text/x-java-properties"

// client calls REST for a request for a page.
type client struct {
	api http.Handler
	r   *http.Request // for the page
}

func newRefusal(status int, text string) error { return &rest.Refusal{Status: status, Message: text} }

func isRefused(err error, status int) bool {
	r, ok := errors.AsType[*rest.Refusal](err)
	return ok && r.Status == status
}

// maxAnswer is the largest response: more than twice the 4 MiB of a sample, since JSON may escape each character.
const maxAnswer = 16 << 20

func (c client) get(route string, response any, values ...string) error {
	_, err := c.call(route, nil, nil, response, values...)
	return err
}

// pairs returns a form with alternating names and values, without empty values.
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
func (c client) getOfGroup(route string, query url.Values, response any, values ...string) (groupErr, err error) {
	if groupErr = c.get(route+"?"+query.Encode(), response, values...); groupErr != nil {
		query.Set("own", "true")
		err = c.get(route+"?"+query.Encode(), response, values...)
	}
	return groupErr, err
}

// call is [rest.Client.Call] with the user's logon. A *string requests properties, unless header has Accept.
func (c client) call(route string, header http.Header, body, response any, values ...string) (http.Header, error) {
	defaults := http.Header{}
	if logon := c.r.Header["Authorization"]; logon != nil {
		defaults["Authorization"] = logon
	}
	if _, ok := response.(*string); ok {
		defaults.Set("Accept", propertiesType)
	}
	worker := rest.Client{URL: "http://worker", Header: defaults, Transport: c, MaxBytes: maxAnswer}
	responseHeader, err := worker.Call(c.r.Context(), route, header, body, response, values...)
	if r, ok := errors.AsType[*rest.Refusal](err); ok {
		r.Message = shown.Text(r.Message)
	}
	return responseHeader, err
}

// RoundTrip passes a request to REST with the connection and Host of the request for the page.
func (c client) RoundTrip(request *http.Request) (*http.Response, error) {
	r := c.r.Clone(request.Context())
	r.Method = request.Method
	r.RequestURI = request.URL.RequestURI()
	r.Header = request.Header
	r.URL = &url.URL{Path: request.URL.Path, RawPath: request.URL.RawPath, RawQuery: request.URL.RawQuery}
	r.Body = http.NoBody
	r.ContentLength = request.ContentLength
	if request.Body != nil {
		r.Body = request.Body
	}
	return rest.Local{Handler: c.api}.RoundTrip(r)
}
