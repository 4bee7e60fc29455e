package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Every request contains the client in its query. Ordering keys and delivery states do not.
func TestClientInQuery(t *testing.T) {
	const query = "?sap-client=100&sap-language=DE"
	common := append(set("00", "Order_DetailCopies"), "sap.odata.enable.delete=1", "sap.odata.enable.batch=0",
		"sap.odata.sap.client=100", "sap.odata.sap.language=DE")
	var deliveries [2][]wit.Delivery
	for i, more := range []string{"sap.odata.sap.client.in=header", "sap.odata.sap.client.in=query"} {
		settings := configuration(append(common, more)...)
		inquiry, err := newPlugin().Open(sinkconfig.V2.Class, settings, nil, nil)
		require.NoError(t, err)
		want := gateway + "/$metadata" + []string{"", query}[i]
		assert.Equal(t, want, inquiry.Pending.Requests[0].Target)
		run := open(t, odatatest.New(odatatest.Options{}), append(common, more)...)
		rows := []wit.Row{{Value: run.withSchema(detail, detailOf(3, 4))},
			{Key: run.withSchema(detailKey, connectdata.Struct{int32(4), int32(3)})},
			{Key: run.withSchema(detailKey, connectdata.Struct{int32(4), int32(3)})}}
		out, err := run.p.Encode(run.context, run.schemas, []string{"Order_DetailCopies"}, rows, run.data, nil, nil,
			[]wit.Hint{{Row: 2, Text: requests.StepConfirm}})
		require.True(t, err == nil && len(out.Ready) == 3, "expected three deliveries, found %+v (%v)", out, err)
		deliveries[i] = out.Ready
	}
	for i := range deliveries[0] {
		delivery := &deliveries[0][i]
		delivery.Request.Target += query
		if delivery.Request.TokenPath != nil {
			delivery.Request.TokenPath = wit.Ptr(*delivery.Request.TokenPath + query)
		}
	}
	expectEqual(t, "found", deliveries[0], deliveries[1])
}

// A batch contains the client in its own query only.
func TestClientInQueryOfABatch(t *testing.T) {
	const query = "?sap-client=100"
	config := append(set("00", "Order_DetailCopies"), oneOrderingKey, "sap.odata.sap.client=100",
		"sap.odata.sap.client.in=query")
	run := open(t, odatatest.New(odatatest.Options{}), config...)
	rows := []wit.Row{{Value: run.withSchema(detail, detailOf(3, 4))}, {Value: run.withSchema(detail, detailOf(3, 5))}}
	request := run.encoded(1, "Order_DetailCopies", rows...)[0].Request
	assert.True(t, request.Target == gateway+"/$batch"+query && request.TokenPath != nil &&
		*request.TokenPath == gateway+"/"+query,
		"expected %s in both URLs, found %s and %v", query, request.Target, request.TokenPath)
	body := string(request.Body)
	assert.True(t, !strings.Contains(body, "sap-client") && strings.Count(body, "\nPOST Order_DetailCopies HTTP") == 2,
		"expected the client in the batch's URL only, found %s", body)
}

func TestClientInQueryOfDoctor(t *testing.T) {
	config := configuration(append(set("00", "OrderCopies"), "sap.odata.sap.client=100",
		"sap.odata.sap.client.in=query")...)
	reply, err := newPlugin().Run("doctor", []wit.Setting{{Name: "step", Value: "csrf " + gateway}}, config, nil, nil)
	require.NoError(t, err)
	request := reply.Pending.Requests[0]
	want := gateway + "/?sap-client=100"
	assert.True(t, request.Target == want && request.TokenPath != nil && *request.TokenPath == want,
		"expected %s for both, found %+v", want, request)
}
