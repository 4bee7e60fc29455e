package odatatest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Documents of v4 without rows, and the negotiation of formats.

// negotiate4 accepts JSON alone, and chooses the form of numbers.
func negotiate4(ex *exchange) *fault {
	accept := ex.query.format
	if accept == "" {
		accept = ex.r.Header.Get("Accept")
	}
	ex.json = true
	if strings.Contains(accept, "atom") && !strings.Contains(accept, "json") {
		return &fault{status: http.StatusNotAcceptable, message: "Unsupported media type requested."}
	}
	isRequested := strings.Contains(strings.ToLower(accept), "ieee754compatible=true")
	ex.hasTextNumbers = isRequested && !ex.sw.PlainNumbers
	return nil
}

// contentType4 returns the media type of rows.
func contentType4(ex *exchange, _ string) string {
	if ex.hasTextNumbers {
		return "application/json;odata.metadata=minimal;IEEE754Compatible=true;charset=utf-8"
	}
	return "application/json;odata.metadata=minimal;charset=utf-8"
}

// json4 returns the body as JSON of v4; a SAP mount adds innererror.
func (f *fault) json4(m *mount) []byte {
	quote := func(s string) string { return string(appendJSONText(nil, []byte(s))) }
	code := f.codeFor(m)
	if code == "" {
		code = strconv.Itoa(f.status)
	}
	b := fmt.Sprintf(`{"error":{"code":%s,"message":%s`, quote(code), quote(f.message))
	if f.target != "" {
		b += `,"target":` + quote(f.target)
	}
	if m.sap {
		b += fmt.Sprintf(`,"details":[],"innererror":{"ErrorDetails":{"@SAP__common.Application":`+
			`{"ServiceId":"NORTHWIND","ServiceVersion":"0001"},"@SAP__common.TransactionId":"%s"}}`,
			transactionID(f.message))
	}
	return []byte(b + "}}")
}

// serveServiceDocument4 lists the entity sets.
func serveServiceDocument4(ex *exchange) *fault {
	b := []byte(`{"@odata.context":"` + ex.base + `$metadata","value":[`)
	for i, t := range ex.model().tables {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"name":"%s","kind":"EntitySet","url":"%s"}`, t.name, t.name)
	}
	ex.sendText("application/json;odata.metadata=minimal;charset=utf-8", append(b, "]}"...))
	return nil
}
