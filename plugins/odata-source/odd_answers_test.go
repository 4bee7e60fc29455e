package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestResponsesThatAreNoFeed: if a response is not a feed, the error says what it is, so that users do not search
// for the error in a row. It is never read as rows.
func TestResponsesThatAreNoFeed(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		kind    string
		body    string
		message string
	}{
		"204": {204, "", "", "HTTP 204 (No Content)"},
		"v4": {200, "application/json;odata.metadata=minimal",
			`{"@odata.context":"$metadata#Orders","value":[{"OrderID":1}]}`, "OData v4"},
		"v4 without metadata": {200, "application/json", `{"value":[{"OrderID":1}]}`, "OData v3 or v4"},
		"v4 without rows":     {200, "application/json", `{"value":[]}`, "OData v3 or v4"},
		"v3": {200, "application/json", `{"odata.metadata":"$metadata#Orders","value":[]}`,
			"OData v3"},
		"v3 error": {200, "application/json", `{"odata.error":{"code":"X","message":{"value":"no"}}}`,
			"an error document"},
		"health": {200, "application/json", `{"status":"UP","groups":["a"]}`,
			"none of the set's properties"},
		"gateway": {200, "application/json",
			`{"fault":{"faultstring":"no route","detail":{"errorcode":"x"}}}`, "none of the set's properties"},
		"message": {200, "application/json", `{"message":"Service is in maintenance"}`,
			"none of the set's properties"},
		"UTF-16":                {200, "application/json", "\xff\xfe{\x00\"\x00d\x00\"\x00", "UTF-16"},
		"UTF-16 without a mark": {200, "application/json", "{\x00\"\x00d\x00\"\x00", "UTF-16"},
		"UTF-16, big endian":    {200, "application/atom+xml", "\x00<\x00f\x00e\x00e\x00d\x00>", "UTF-16"},
		"Latin-1 in JSON": {200, "application/json;charset=ISO-8859-1",
			`{"d":{"results":[{"OrderID":1,"ShipName":"M` + "\xfc" + `ller"}]}}`, "iso-8859-1"},
		"Latin-1 split": {200, "application/json;charset=ISO-8859-1", `{"d":{"results":[` +
			strings.Repeat(" ", 200_000) + "\xfc" + `]}}`, "iso-8859-1"},
		"UTF-16 by the header": {200, "application/json;charset=UTF-16", `{"d":{"results":[]}}`, "utf-16"},
		"EBCDIC by the header": {200, "application/json;charset=cp037", `{"d":{"results":[]}}`, "cp037"},
		"Latin-1 in Atom": {200, "application/atom+xml",
			`<?xml version="1.0" encoding="ISO-8859-1"?><feed xmlns="http://www.w3.org/2005/Atom"/>`, "iso-8859-1"},
		"Latin-1 by the header": {200, "application/atom+xml; charset=windows-1252",
			`<feed xmlns="http://www.w3.org/2005/Atom"><title>` + "\xfc" + `</title></feed>`, "windows-1252"},
	} {
		for _, mode := range []string{"full", "delta"} {
			s := odatatest.New(odatatest.Options{Rows: 20})
			answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/Orders") {
					s.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			var rows int
			var err error
			if mode == "full" {
				l := newLoad(t, answer, set("00", "Orders")...)
				_, err = l.run(0, nil)
				rows = len(l.rows) + len(l.faults)
			} else {
				f := newFollower(t, answer, tracked00("Orders")...)
				err = f.catchUp(start)
				rows = len(f.log) + len(f.faults)
			}
			if err == nil || !strings.Contains(err.Error(), test.message) || rows > 0 {
				t.Errorf("%s, %s: expected %q, found %v; %d rows or faults", name, mode, test.message, err, rows)
			}
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
			t.Errorf("%s: %d rows, %v", charset, len(load.rows), err)
		}
	}
}
