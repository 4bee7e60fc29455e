package kafka

import (
	"strings"
	"testing"
)

func TestReserved(t *testing.T) {
	var r ReservedTopics
	r.Add("connect-offsets", "the offsets (offset.storage.topic)")
	r.Add("Connect-Offsets", "something else")
	r.Add("", "nothing")
	for topic, use := range map[string]string{
		"connect-offsets":     "offset.storage.topic",
		"CONNECT-offsets":     "offset.storage.topic",
		"__consumer_offsets":  "groups",
		"__Transaction_State": "transactions",
		"__share_group_state": "share groups",
		"__cluster_metadata":  "metadata",
		"":                    "",
		"connect-offsets2":    "",
		"orders":              "",
		"_consumer_offsets":   "",
	} {
		switch err := r.Check(topic); {
		case (err != nil) != (use != ""):
			t.Errorf("%q: expected an error: %v, found %v", topic, use != "", err)
		case err != nil && !(strings.Contains(err.Error(), use) && strings.Contains(err.Error(), topic)):
			t.Errorf("%q: expected its name and %q, found %v", topic, use, err)
		}
	}
}
