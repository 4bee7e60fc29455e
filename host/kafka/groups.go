package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is what a group's coordinator says of it.
type Group struct {
	// State is Kafka's name of it, Stable or Empty say; Type (consumer, connect) and Protocol are what the members have
	// in common, "" where the coordinator does not say so.
	State, Type, Protocol string
	Members               []Member
}

// Member is one of a group.
type Member struct {
	// ClientID and Host tell people which process it is.
	ClientID, Host string
	// URL is where a worker of Kafka Connect's, or of ours, is reached; "" for others, and while the group forms.
	URL string
	// Metadata is what it said when it joined; none while the group forms.
	Metadata []byte
}

// Group asks the coordinator of a group about it; of one that there is not it says nothing, or Dead.
func (a *Admin) Group(ctx context.Context, group string) (g Group, err error) {
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{group}
	answer, err := request.RequestWith(ctx, a.client)
	var described kmsg.DescribeGroupsResponseGroup
	switch {
	case err != nil:
	case len(answer.Groups) != 1:
		err = fmt.Errorf("expected one group in the answer, found %d", len(answer.Groups))
	default:
		described = answer.Groups[0]
		err = kerr.ErrorForCode(described.ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return g, nil
	}
	if err != nil {
		return g, fmt.Errorf("members of group %s: %w", group,
			Lacking(a.dialer.Explain(err), "DESCRIBE", "Group "+group))
	}
	g = Group{State: described.State, Type: described.ProtocolType, Protocol: described.Protocol}
	for _, m := range described.Members {
		one := Member{ClientID: m.ClientID, Host: m.ClientHost, Metadata: m.ProtocolMetadata}
		var worker kmsg.ConnectMemberMetadata
		if g.Type == "connect" && worker.ReadFrom(m.ProtocolMetadata) == nil {
			one.URL = worker.URL
		}
		g.Members = append(g.Members, one)
	}
	return g, nil
}

// Members are those of a consumer group that is stable, as people know processes: client id and host. While it forms
// there are none.
func (a *Admin) Members(ctx context.Context, group string) (members []string, err error) {
	g, err := a.Group(ctx, group)
	if g.State == "Stable" {
		for _, m := range g.Members {
			members = append(members, m.ClientID+" at "+strings.TrimPrefix(m.Host, "/"))
		}
	}
	return members, err
}
