package transport

import (
	"bytes"
	"encoding/base64"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// SAP systems accept client and user as headers, in the query, in path parameters, in a form, and the client in
// brackets in the path: `sap(bD1lbiZjPTEwMA==)` is l=en&c=100. Since refusals are stored per client and user, a request
// may name the configured client, or any if none is configured, but never a user or password.
const (
	sapClient   = "sap-client"
	sapUser     = "sap-user"
	sapPassword = "sap-password"
)

// checkTarget validates client and user in a plugin's request line; source is its name in messages.
func (d *destination) checkTarget(source, line string) error {
	clients, err := clientsInLine(source, line)
	if err != nil {
		return err
	}
	return d.checkClients(source, clients)
}

// checkClients returns an error unless all clients are one, and the configured one if there is one.
func (d *destination) checkClients(source string, clients []string) error {
	for _, client := range clients {
		if !isClient(client) {
			return errorf(wit.ErrorData, "%s of a request: expected an SAP client of at most three "+
				"digits for %s, found %q", source, sapClient, client)
		}
		if configured := d.sapClient; configured != "" && !sameClient(client, configured) {
			return errorf(wit.ErrorData, "%s of a request: expected SAP client %s, the configured one, found %s=%s: "+
				"requests cannot select another client", source, configured, sapClient, client)
		}
		if !sameClient(client, clients[0]) {
			return errorf(wit.ErrorData, "%s of a request: expected one SAP client, found %s=%s and %s", source,
				sapClient, clients[0], client)
		}
	}
	return nil
}

func isClient(s string) bool { return len(s) <= 3 && strings.Trim(s, "0123456789") == "" }

func sameClient(a, b string) bool { return normalizeClient(a) == normalizeClient(b) }

func normalizeClient(s string) string {
	if isClient(s) && s != "" {
		return "000"[len(s):] + s
	}
	return s
}

// clientsInLine returns all SAP clients that a request line names. A user or password is an error.
func clientsInLine(source, line string) (clients []string, err error) {
	path, query, _ := strings.Cut(line, "?")
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		if client, ok := clientInBrackets(segment); ok {
			clients = append(clients, client)
		}
		if _, inPath, ok := strings.Cut(segment, ";"); ok { // path parameters
			query += "&" + inPath
		}
	}
	inQuery, err := clientsInPairs(source, query)
	return append(clients, inQuery...), err
}

func clientsInPairs(source, pairs string) (clients []string, err error) {
	for name, value := range parameters(pairs) {
		switch name {
		case sapClient:
			clients = append(clients, value)
		case sapUser, sapPassword:
			return nil, errorf(wit.ErrorData, "%s of a request: found %s, which is not allowed: credentials are "+
				"configured by the connector's settings only", source, name)
		}
	}
	return clients, nil
}

func parameters(pairs string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for pair := range strings.FieldsFuncSeq(pairs, func(c rune) bool { return c == '&' || c == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			if !yield(normalizeParameter(name), strings.TrimSpace(unescapeTwice(value))) {
				return
			}
		}
	}
}

func normalizeParameter(name string) string {
	return strings.ToLower(strings.TrimFunc(unescapeTwice(name), func(c rune) bool { return c <= ' ' }))
}

// unescapeTwice decodes twice, since an intermediary may decode once.
func unescapeTwice(s string) string {
	for range 2 {
		decoded, err := url.QueryUnescape(s)
		if err != nil || decoded == s {
			break
		}
		s = decoded
	}
	return s
}

// clientInBrackets returns the client of a path segment such as sap(bD1lbiZjPTEwMA==).
func clientInBrackets(segment string) (client string, ok bool) {
	segment, _, _ = strings.Cut(segment, ";")
	if decoded, err := url.PathUnescape(segment); err == nil {
		segment = decoded
	}
	_, inner, ok := strings.Cut(segment, "(")
	inner, isClosed := strings.CutSuffix(inner, ")")
	if !ok || !isClosed || len(inner) > 1<<10 {
		return "", false
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(inner, "="))
	if err != nil {
		return "", false
	}
	for pair := range strings.SplitSeq(string(decoded), "&") {
		name, value, ok := strings.Cut(pair, "=")
		if ok && strings.EqualFold(name, "c") && isClient(value) && value != "" {
			client = value
		}
	}
	return client, client != ""
}

// checkForm validates client and user in a form, and returns the clients of an urlencoded one.
func (d *destination) checkForm(contentType string, body []byte) (clients []string, err error) {
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind == "" {
		kind, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	switch strings.TrimSpace(kind) {
	case "application/x-www-form-urlencoded":
		if clients, err = clientsInPairs("form", string(body)); err != nil {
			return nil, err
		}
		return clients, d.checkClients("form", clients)
	case "multipart/form-data":
		lower := bytes.ToLower(body)
		for _, name := range []string{sapClient, sapUser, sapPassword} {
			if bytes.Contains(lower, []byte(name)) {
				return nil, errorf(wit.ErrorData, "form of a request: found %s, which is not allowed: credentials are "+
					"configured by the connector's settings only", name)
			}
		}
	}
	return nil, nil
}

// firstClientInLine returns the client that a validated request line names, or "".
func firstClientInLine(line string) string {
	if clients, err := clientsInLine("target", line); err == nil && len(clients) > 0 {
		return clients[0]
	}
	return ""
}

// checkClient rejects an answer of another SAP client (RATIONALE.md P12), which would be another company's data. The
// cookie sap-usercontext has the format of a query; some servers percent-encode it.
func (d *destination) checkClient(h http.Header) error {
	if d.sapClient == "" {
		return nil
	}
	for _, userContext := range session.UserContexts(h) {
		for name, client := range parameters(unescapeTwice(strings.Trim(userContext, "\" "))) {
			if name == sapClient && client != "" && !sameClient(client, d.sapClient) {
				return errorf(wit.ErrorConfig, "%s: expected answers of client %s, found %s of client %s", d.origin,
					d.sapClient, session.UserContext, client)
			}
		}
	}
	return nil
}

// configuredClient returns the SAP client of the headers or of the query, or "".
func (c *Config) configuredClient() (string, error) {
	client := c.Headers[sapClient]
	for name, values := range c.Query {
		for _, value := range values {
			if normalizeParameter(name) != sapClient {
				continue
			}
			if client != "" && !sameClient(value, client) {
				return "", errorf(wit.ErrorConfig,
					"expected one SAP client, found %s and, in the destination's query, %s=%s", client, name, value)
			}
			client = value
		}
	}
	return client, nil
}
