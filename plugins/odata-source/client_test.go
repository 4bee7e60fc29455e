package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

var (
	clientInHeader = []string{"sap.odata.sap.client=100", "sap.odata.sap.language=DE"}
	clientInQuery  = slices.Concat(clientInHeader, []string{"sap.odata.sap.client.in=query"})
)

const clientQuery = "sap-client=100&sap-language=DE"

// Requests that the connector builds contain the client in their query. Links of the service are requested unchanged.
func TestClientInQuery(t *testing.T) {
	for _, token := range []string{"offset", "key"} {
		s := odatatest.New(odatatest.Options{Rows: 90, Switches: odatatest.Switches{PageSize: 20, SkipToken: token}})
		header := loadSet(t, s, append(set("00", "Orders"), clientInHeader...)...)
		query := loadSet(t, s, append(set("00", "Orders"), clientInQuery...)...)
		assert.True(t, len(header.rows) >= 90 && slices.Equal(header.rows, query.rows),
			"%s: expected the same rows, found %d and %d", token, len(header.rows), len(query.rows))
		for _, target := range header.targets {
			assert.True(t, !strings.Contains(target, "sap-"), "%s: unexpected query in %s", token, target)
		}
		for _, target := range query.targets {
			if n := strings.Count(target, clientQuery); n != 1 { // the demo service copies it into its links
				t.Errorf("%s: expected the client once, found %s", token, target)
			}
		}
		assert.True(t, header.opened.Feeds[0].Fingerprint == query.opened.Feeds[0].Fingerprint,
			"expected equal fingerprints for one client, found %s, %s", header.opened.Feeds[0].Fingerprint,
			query.opened.Feeds[0].Fingerprint)
	}
}

// If the setting changes during a load, the load continues with the client in the query, or without it.
func TestClientInQueryChangesDuringLoad(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 90, Switches: odatatest.Switches{PageSize: 20,
		SkipToken: "offset"}})
	want := loadSet(t, service, set("00", "Orders")...)
	for _, change := range []struct{ before, after []string }{
		{before: clientInHeader, after: clientInQuery},
		{before: clientInQuery, after: clientInHeader},
	} {
		load := newLoad(t, service, append(set("00", "Orders"), change.before...)...)
		offset, err := load.readPages(0, nil, 1)
		require.NoError(t, err)
		resumed := newLoad(t, service, append(set("00", "Orders"), change.after...)...)
		resumed.targets = nil
		resumed.readAll(offset)
		if rows := slices.Concat(load.rows, resumed.rows); !slices.Equal(want.rows, rows) {
			t.Errorf("%v: expected %d rows, found %d", change, len(want.rows), len(rows))
		}
		if isInQuery := slices.Equal(change.after, clientInQuery); isInQuery &&
			!strings.Contains(resumed.targets[0], "&"+clientQuery) {
			t.Errorf("expected the client in %s", resumed.targets[0])
		}
	}
}

// The commands ping and doctor request metadata and the service document with the client in the query.
func TestClientInQueryOfCommands(t *testing.T) {
	settings := configuration(append(set("00", "Orders"), clientInQuery...)...)
	reply, err := (&plugin{}).Run("ping", []wit.Setting{{Name: "s", Value: northwind + "/"}}, settings, nil, nil)
	require.NoError(t, err)
	step, err := (&plugin{}).Run("doctor", []wit.Setting{{Name: "step", Value: "metadata " + northwind}}, settings, nil,
		nil)
	require.NoError(t, err)
	var targets []string
	for _, q := range append(reply.Pending.Requests, step.Pending.Requests...) {
		targets = append(targets, q.Target)
	}
	want := []string{northwind + "/$metadata?" + clientQuery, northwind + "/?" + clientQuery,
		northwind + "/$metadata?" + clientQuery}
	assert.Equal(t, want, targets, "requests")
}
