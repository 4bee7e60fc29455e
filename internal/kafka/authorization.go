package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/wit"
)

// WithMissingRight adds the missing right, such as READ, and resource, such as `Topic orders`, to an ACL error.
func WithMissingRight(err error, right, resource string) error {
	var explanation *wit.Error
	switch {
	case err == nil || errors.As(err, &explanation):
		return err
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		right = "IDEMPOTENT_WRITE"
		resource = "Cluster, or WRITE on a resource Topic"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		// the missing right is the one that the caller named
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", &wit.Error{Kind: wit.ErrorConfig,
		Message: "the brokers deny this user the request: expected the right " + right + " on the resource " +
			resource}, err)
}

// CheckRights calls report for each topic, with an error if the producing or consuming client lacks DESCRIBE or right.
// Without an error, rights lists the client's rights or explains why they are unknown.
func CheckRights(ctx context.Context, c Config, right kmsg.ACLOperation, topics []string,
	report func(topic, rights string, err error)) error {
	c.Admin = c.Producer.withDefaults(c.ClientConfig)
	if right == kmsg.ACLOperationRead {
		c.Admin = c.Consumer.withDefaults(c.ClientConfig)
	}
	admin, err := NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true // ignored by brokers before 2.3 (KIP-430)
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		request.Topics = append(request.Topics, t)
	}
	response, err := request.RequestWith(ctx, admin.client)
	if err != nil {
		return admin.dialer.Explain(err)
	}
	for _, t := range response.Topics {
		if t.Topic == nil {
			continue
		}
		err := kerr.ErrorForCode(t.ErrorCode)
		name := *t.Topic
		granted := kadm.DecodeACLOperations(t.AuthorizedOperations)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			report(name, "the topic does not exist: the brokers or the worker create it, or you must", nil)
		case err != nil:
			report(name, "", WithMissingRight(err, "DESCRIBE", "Topic "+name))
		case len(granted) == 0:
			report(name, "the brokers do not report the user's rights", nil)
		case !slices.Contains(granted, right):
			report(name, "", WithMissingRight(kerr.TopicAuthorizationFailed, right.String(), "Topic "+name))
		default:
			report(name, "DESCRIBE, "+right.String(), nil)
		}
	}
	return nil
}
