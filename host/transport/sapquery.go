package transport

import (
	"bytes"
	"encoding/base64"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/culvert-project/culvert/host/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// What SAP systems read in the place of headers: the client and the user to log on with may stand in a request's query,
// in the parameters of its path, in a form, and the client also in brackets in the path, as `sap(bD1lbiZjPTEwMA==)`,
// which is l=en&c=100. Names count in any case. Who is asked belongs to the user's settings, because a refusal is noted
// for whom it was asked, so a request may name the client that is configured, or any where none is; a user or a
// password it names nowhere.
const (
	sapClient   = "sap-client"
	sapUser     = "sap-user"
	sapPassword = "sap-password"
)

// checkTarget checks what a request of a guest, or a redirect, says about client and user. what is target, redirect or the
// like.
func (d *destination) checkTarget(what, line string) error {
	clients, err := clientsOf(what, line)
	if err != nil {
		return err
	}
	return d.checkClients(what, clients)
}

// checkClients refuses clients other than the configured one, and of several that differ all.
func (d *destination) checkClients(what string, clients []string) error {
	for _, found := range clients {
		if !isClient(found) {
			return faultf(wit.ErrorData, "%s of a request: expected an SAP client of at most three "+
				"digits for %s, found %q", what, sapClient, found)
		}
		if want := d.client; want != "" && !sameClient(found, want) {
			return faultf(wit.ErrorData, "%s of a request: expected SAP client %s, the configured one, found %s=%s: "+
				"a request asks no other client",
				what, want, sapClient, found)
		}
		if !sameClient(found, clients[0]) {
			return faultf(wit.ErrorData, "%s of a request: expected one SAP client, found %s=%s and %s", what,
				sapClient, clients[0], found)
		}
	}
	return nil
}

func isClient(s string) bool {
	return len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// sameClient: SAP's clients have three digits, some write them without zeros in front.
func sameClient(a, b string) bool { return normalizeClient(a) == normalizeClient(b) }

func normalizeClient(s string) string {
	if isClient(s) && s != "" {
		return "000"[len(s):] + s
	}
	return s
}

// clientsOf are the clients that a line of a request names, as they are written. A user or a password in it is a fault.
func clientsOf(what, line string) (clients []string, err error) {
	path, query, _ := strings.Cut(line, "?")
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		if client, ok := clientInBrackets(segment); ok {
			clients = append(clients, client)
		}
		if _, parameters, ok := strings.Cut(segment, ";"); ok {
			query += "&" + parameters
		}
	}
	found, err := clientsIn(what, query)
	return append(clients, found...), err
}

// clientsIn looks at pairs of a query or a form.
func clientsIn(what, pairs string) (clients []string, err error) {
	for name, value := range parameters(pairs) {
		switch name {
		case sapClient:
			clients = append(clients, value)
		case sapUser, sapPassword:
			return nil, faultf(wit.ErrorData, "%s of a request: found %s in it, which is refused: who logs on is "+
				"said by the connector's settings alone", what, name)
		}
	}
	return clients, nil
}

// parameters are the pairs of a query or a form, with names and values as SAP systems compare them.
func parameters(pairs string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for pair := range strings.FieldsFuncSeq(pairs, func(c rune) bool { return c == '&' || c == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			if !yield(parameter(name), strings.TrimSpace(unescaped(value))) {
				return
			}
		}
	}
}

// parameter is a name as SAP systems compare it.
func parameter(name string) string {
	return strings.ToLower(strings.TrimFunc(unescaped(name), func(c rune) bool { return c <= ' ' }))
}

// unescaped takes percent-encoding off, also where something on the way took it off once more: twice at most.
func unescaped(s string) string {
	for range 2 {
		once, err := url.QueryUnescape(s)
		if err != nil || once == s {
			break
		}
		s = once
	}
	return s
}

// clientInBrackets is the client in brackets after the name of a segment.
func clientInBrackets(segment string) (client string, ok bool) {
	segment, _, _ = strings.Cut(segment, ";")
	if decoded, err := url.PathUnescape(segment); err == nil {
		segment = decoded
	}
	_, inner, ok := strings.Cut(segment, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed || len(inner) > 1<<10 {
		return "", false
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(inner, "="))
	if err != nil {
		return "", false
	}
	for pair := range strings.SplitSeq(string(decoded), "&") {
		name, value, has := strings.Cut(pair, "=")
		if has && strings.EqualFold(name, "c") && isClient(value) && value != "" {
			client = value
		}
	}
	return client, client != ""
}

// checkForm looks at a body that SAP systems read as they read a query.
func (d *destination) checkForm(contentType string, body []byte) (clients []string, err error) {
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind == "" {
		kind, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	switch strings.TrimSpace(kind) {
	case "application/x-www-form-urlencoded":
		if clients, err = clientsIn("form", string(body)); err != nil {
			return nil, err
		}
		return clients, d.checkClients("form", clients)
	case "multipart/form-data":
		lower := bytes.ToLower(body)
		for _, name := range []string{sapClient, sapUser, sapPassword} {
			if bytes.Contains(lower, []byte(name)) {
				return nil, faultf(wit.ErrorData, "form of a request: found %s in it, which is refused: who logs on "+
					"is said by the connector's settings alone", name)
			}
		}
	}
	return nil, nil
}

// clientOf is the client that a line asks, which was checked; "" where it names none.
func clientOf(line string) string {
	if clients, err := clientsOf("target", line); err == nil && len(clients) > 0 {
		return clients[0]
	}
	return ""
}

// checkClient refuses an answer of another SAP client than the one that is asked (P12): the service would read and
// write the wrong company's data. The cookie sap-usercontext holds pairs as a query does (`sap-language=EN&
// sap-client=100`), of which some servers write = and & as %3D and %26.
func (d *destination) checkClient(h http.Header) error {
	if d.client == "" {
		return nil
	}
	for _, context := range session.UserContexts(h) {
		for name, found := range parameters(unescaped(strings.Trim(context, "\" "))) {
			if name == sapClient && found != "" && !sameClient(found, d.client) {
				return faultf(wit.ErrorConfig, "%s: expected answers of client %s, found %s of client %s", d.origin,
					d.client, session.UserContext, found)
			}
		}
	}
	return nil
}

// client is the SAP client that requests ask. A destination's query counts for that as a header does.
func (c *Config) client() (string, error) {
	client := c.Headers[sapClient]
	for name, values := range c.Query {
		for _, value := range values {
			if parameter(name) != sapClient {
				continue
			}
			if client != "" && !sameClient(value, client) {
				return "", faultf(wit.ErrorConfig,
					"expected one SAP client, found %s and, in the destination's query, %s=%s", client, name, value)
			}
			client = value
		}
	}
	return client, nil
}
