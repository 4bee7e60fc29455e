package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// A list of subscriptions with a next link to itself ends the command with an error of kind data.
func TestRetireWithRepeatedLink(t *testing.T) {
	const metadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.String" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/><EntitySet Name="SubscriptionCollection" EntityType="N.T"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
	settings := []wit.Setting{{Name: "name", Value: "c"}, {Name: "sap.odata#00.service", Value: "/s"},
		{Name: "sap.odata#00.entityset", Value: "S"}, {Name: "sap.odata#00.topic", Value: "T"},
		{Name: "sap.odata#00.subscription.enable", Value: "1"}, {Name: "sap.odata.subscription.dest", Value: "D"}}
	var state []byte
	var answers []wit.Response
	for range 20 {
		reply, err := runRetire(settings, state, answers)
		var f *wit.Error
		if errors.As(err, &f) && f.Kind == wit.ErrorData &&
			strings.Contains(f.Message, "found a link back to /s/SubscriptionCollection;") {
			return
		}
		require.True(t, err == nil && reply.Pending != nil, "expected a data error that names the link, found %v", err)
		state = reply.Pending.State
		answers = nil
		for _, r := range reply.Pending.Requests {
			body := `{"d":{"results":[],"__next":"SubscriptionCollection"}}`
			if strings.HasSuffix(r.Target, "$metadata") {
				body = metadata
			}
			answers = append(answers, wit.Response{Tag: r.Tag, Target: r.Target, Status: 200, Body: []byte(body)})
		}
	}
	t.Error("expected a data error within 20 rounds")
}
