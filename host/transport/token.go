package transport

import (
	"context"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// fetchToken tries what the SDKs of SAP try: HEAD, GET, and GET with or without a slash at the end. SAP SuccessFactors
// answers HEAD without a token (openui5 issue 3445).
func (c *Client) fetchToken(ctx context.Context, p *pass, serves *exchange) (string, error) {
	from := serves.tokenFrom
	path, query, _ := strings.Cut(from, "?")
	other := path + "/"
	if strings.HasSuffix(path, "/") {
		other = strings.TrimSuffix(path, "/")
	}
	if query != "" {
		other += "?" + query
	}
	for _, try := range [][2]string{{http.MethodHead, from}, {http.MethodGet, from}, {http.MethodGet, other}} {
		if try[1] == "" {
			continue
		}
		e := &exchange{method: try[0], line: try[1], client: namedClient(try[1]), repeatable: true,
			serves: serves, elsewhere: serves.elsewhere,
			header: http.Header{"X-Csrf-Token": {"Fetch"}, "Accept": {"*/*"}}}
		a, err := (&repetition{client: c, e: e, given: p}).run(ctx)
		if err != nil {
			return "", err
		}
		value := a.token
		switch {
		case value != "" && !strings.EqualFold(value, csrfRequired) && !strings.EqualFold(value, "Fetch"):
			a.discard()
			c.counter.tokens.Add(1)
			return value, nil
		case a.Status == http.StatusUnauthorized:
			return "", faultf(wit.FaultUnauthorized, "%s %s for a CSRF token: answered 401: %s", try[0], try[1],
				a.excerpt())
		case a.Status >= 500 && try[0] == http.MethodGet:
			return "", faultf(wit.FaultTransient, "%s %s for a CSRF token: answered %d: %s", try[0], try[1], a.Status,
				a.excerpt())
		}
		a.discard()
	}
	c.counter.noTokens.Add(1)
	c.at.Load().config.Logger.Debug("service hands out no CSRF token", "from", from)
	return "", nil
}
