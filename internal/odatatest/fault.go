package odatatest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// fault is an error response.
type fault struct {
	status  int
	code    string // SAP message class and number; "" means the mount's code for the status
	message string
	target  string // property that the error is about
	header  map[string]string
	page    bool // the response is an HTML page, as of a server in front of all services
}

func badRequest(format string, arguments ...any) *fault {
	return &fault{status: http.StatusBadRequest, message: fmt.Sprintf(format, arguments...)}
}

func notFound(segment string) *fault {
	return &fault{status: http.StatusNotFound, message: fmt.Sprintf("Resource not found for the segment '%s'.",
		segment)}
}

// sapCodes are the codes of SAP Gateway's framework messages where one is known for a status. Assumption: only
// /IWBEP/CM_MGW_RT/020 (resource not found) and /IWFND/CM_CONSUMING are common knowledge; the others are invented in
// their form.
var sapCodes = map[int]string{
	400: "005056A509B11EE1B9A8FEC11C21578E",
	404: "/IWBEP/CM_MGW_RT/020",
	409: "/IWBEP/CM_MGW_RT/022",
	412: "/IWFND/CM_BEC/005",
	428: "/IWFND/CM_BEC/004",
	500: "/IWBEP/CM_MGW_RT/176",
	501: "/IWBEP/CM_MGW_RT/004",
	503: "/IWFND/CM_BEC/026",
}

func (f *fault) codeFor(m *mount) string {
	switch {
	case f.code != "":
		return f.code
	case !m.sap:
		return "" // Microsoft's services leave it empty
	case sapCodes[f.status] != "":
		return sapCodes[f.status]
	}
	return "DEMO/" + strconv.Itoa(f.status)
}

// json returns the body as verbose JSON; a SAP mount adds innererror.
func (f *fault) json(m *mount) []byte {
	quote := func(s string) string { return string(appendJSONText(nil, []byte(s))) }
	b := fmt.Sprintf(`{"error":{"code":%s,"message":{"lang":"%s","value":%s}`, quote(f.codeFor(m)), m.language(),
		quote(f.message))
	if m.sap {
		b += fmt.Sprintf(
			`,"innererror":{"application":{"component_id":"","service_namespace":"/SAP/","service_id":"NORTHWIND_SRV","service_version":"0001"},`+
				`"transactionid":"%s","timestamp":"20260101120000.0000000",`+
				`"Error_Resolution":{"SAP_Transaction":"Run transaction /IWFND/ERROR_LOG","SAP_Note":"See SAP Note 1797736"},`+
				`"errordetails":[{"ContentID":"","code":%s,"message":%s,"longtext_url":"","propertyref":%s,"severity":"error","transition":false,"target":%s}]}`,
			transactionID(f.message), quote(f.codeFor(m)), quote(f.message), quote(f.target), quote(f.target))
	}
	return []byte(b + "}}")
}

func (f *fault) xml(m *mount) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><error xmlns="` + nsM + `"><code>`)
	xml.EscapeText(&b, []byte(f.codeFor(m)))
	b.WriteString(`</code><message xml:lang="` + m.language() + `">`)
	xml.EscapeText(&b, []byte(f.message))
	b.WriteString(`</message>`)
	if m.sap {
		b.WriteString(`<innererror><transactionid>` + transactionID(f.message) +
			`</transactionid><errordetails><errordetail><code>`)
		xml.EscapeText(&b, []byte(f.codeFor(m)))
		b.WriteString(`</code><message>`)
		xml.EscapeText(&b, []byte(f.message))
		b.WriteString(`</message><propertyref>` + f.target + `</propertyref><severity>error</severity><target>` +
			f.target + `</target></errordetail></errordetails></innererror>`)
	}
	b.WriteString(`</error>`)
	return []byte(b.String())
}

// transactionID returns an ID of the right form that is the same for the same message, so that responses can be
// compared.
func transactionID(message string) string {
	sum := md5.Sum([]byte(message))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// write answers with the error in the format of the request.
func (f *fault) write(x *exchange) {
	h := x.w.Header()
	for name, headerValue := range f.header {
		h.Set(name, headerValue)
	}
	if f.page {
		h.Set("Content-Type", "text/html;charset=utf-8")
		x.w.WriteHeader(f.status)
		fmt.Fprintf(x.w, "<html><head><title>Application Server Error</title></head><body><h1>%d "+
			"%s</h1><p>%[2]s</p></body></html>", f.status, f.message)
		return
	}
	x.setPlainVersion()
	body := f.xml(x.mount)
	h.Set("Content-Type", "application/xml;charset=utf-8")
	if x.json {
		body = x.mount.dialect.faultJSON(f, x.mount)
		h.Set("Content-Type", "application/json;charset=utf-8")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(f.status)
	x.w.Write(body)
}
