package main

import (
	"cmp"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestResponsesThatAreNoFeed: if a response is not a feed, the error says what it is, so that users do not search
// for the error in a row. It is never read as rows.
func TestResponsesThatAreNoFeed(t *testing.T) {
	for name, test := range map[string]struct {
		status      int // Zero means 200.
		contentType string
		body        string
		message     string
	}{
		"204": {status: 204, message: "HTTP 204 (No Content)"},
		"v4": {contentType: "application/json;odata.metadata=minimal",
			body: `{"@odata.context":"$metadata#Orders","value":[{"OrderID":1}]}`, message: "OData v4"},
		"v4 without metadata": {contentType: "application/json", body: `{"value":[{"OrderID":1}]}`,
			message: "OData v3 or v4"},
		"v4 without rows": {contentType: "application/json", body: `{"value":[]}`, message: "OData v3 or v4"},
		"v3": {contentType: "application/json", body: `{"odata.metadata":"$metadata#Orders","value":[]}`,
			message: "OData v3"},
		"v3 error": {contentType: "application/json", body: `{"odata.error":{"code":"X","message":{"value":"no"}}}`,
			message: "an error document"},
		"health": {contentType: "application/json", body: `{"status":"UP","groups":["a"]}`,
			message: "none of the set's properties"},
		"gateway": {contentType: "application/json",
			body:    `{"fault":{"faultstring":"no route","detail":{"errorcode":"x"}}}`,
			message: "none of the set's properties"},
		"message": {contentType: "application/json", body: `{"message":"Service is in maintenance"}`,
			message: "none of the set's properties"},
		"UTF-16":                {contentType: "application/json", body: "\xff\xfe{\x00\"\x00d\x00\"\x00", message: "UTF-16"},
		"UTF-16 without a mark": {contentType: "application/json", body: "{\x00\"\x00d\x00\"\x00", message: "UTF-16"},
		"UTF-16, big endian": {contentType: "application/atom+xml", body: "\x00<\x00f\x00e\x00e\x00d\x00>",
			message: "UTF-16"},
		"Latin-1 in JSON": {contentType: "application/json;charset=ISO-8859-1",
			body: `{"d":{"results":[{"OrderID":1,"ShipName":"M` + "\xfc" + `ller"}]}}`, message: "iso-8859-1"},
		"Latin-1 split": {contentType: "application/json;charset=ISO-8859-1",
			body:    `{"d":{"results":[` + strings.Repeat(" ", 200_000) + "\xfc" + `]}}`,
			message: "iso-8859-1"},
		"UTF-16 by the header": {contentType: "application/json;charset=UTF-16", body: `{"d":{"results":[]}}`,
			message: "utf-16"},
		"EBCDIC by the header": {contentType: "application/json;charset=cp037", body: `{"d":{"results":[]}}`,
			message: "cp037"},
		"Latin-1 in Atom": {contentType: "application/atom+xml",
			body:    `<?xml version="1.0" encoding="ISO-8859-1"?><feed xmlns="http://www.w3.org/2005/Atom"/>`,
			message: "iso-8859-1"},
		"Latin-1 by the header": {contentType: "application/atom+xml; charset=windows-1252",
			body:    `<feed xmlns="http://www.w3.org/2005/Atom"><title>` + "\xfc" + `</title></feed>`,
			message: "windows-1252"},
	} {
		for _, mode := range []string{"full", "delta"} {
			s := odatatest.New(odatatest.Options{Rows: 20})
			answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/Orders") {
					s.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", test.contentType)
				w.WriteHeader(cmp.Or(test.status, http.StatusOK))
				_, _ = w.Write([]byte(test.body))
			})
			var rows int
			var err error
			if mode == "full" {
				l := newLoad(t, answer, set("00", "Orders")...)
				_, err = l.run(0, nil)
				rows = len(l.rows) + len(l.faults)
			} else {
				f := newFollower(t, answer, deltaSet("Orders")...)
				err = f.catchUp(start)
				rows = len(f.log) + len(f.faults)
			}
			assert.True(t, err != nil && strings.Contains(err.Error(), test.message) && rows <= 0,
				"%s, %s: expected %q and no rows, found %v; %d rows or faults", name, mode, test.message, err, rows)
		}
	}
}

// TestASCIIUnderAnotherName: servlets without a configured encoding declare ISO-8859-1. An ASCII body is the same in
// it.
func TestASCIIUnderAnotherName(t *testing.T) {
	for _, charset := range []string{"ISO-8859-1", `"iso-8859-15"`, "windows-1252", "Latin1"} {
		s := odatatest.New(odatatest.Options{Rows: 20})
		load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/Orders") {
				s.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json;charset="+charset)
			_, _ = w.Write([]byte(`{"d":{"results":[{"OrderID":1,"ShipName":"M\u00fcller"}],"__count":"1"}}`))
		}), set("00", "Orders")...)
		if _, err := load.run(0, nil); err != nil || len(load.rows) != 1 {
			t.Errorf("%s: expected one row, found %d, %v", charset, len(load.rows), err)
		}
	}
}
