package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Admin creates topics and answers questions about the cluster.
type Admin struct {
	config Config
	client *kgo.Client
	dialer *security.Dialer
	admin  *kadm.Client
	// release lets go of a client that others share; nil: it is this one's own.
	release func()
}

// NewAdmin opens a client; Close ends it.
func NewAdmin(c Config) (*Admin, error) {
	client, dialer, err := newClient(c.AdminOpts())
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	if limit := c.Admin.withDefaults(c.ClientConfig).RequestTimeout; limit > 0 {
		admin.SetTimeoutMillis(int32(limit.Milliseconds()))
	}
	return &Admin{config: c, client: client, dialer: dialer, admin: admin}, nil
}

// NewConsumerAdmin is an administrator that goes where the consumers of c go, and logs on as they do: for questions
// about what they read and have committed, be it on another cluster than c's.
func NewConsumerAdmin(c Config) (*Admin, error) {
	c.Admin = c.Consumer.withDefaults(c.ClientConfig)
	return NewAdmin(c)
}

// Close ends the client, or lets go of one that others share.
func (a *Admin) Close() {
	if a.release != nil {
		a.release()
		return
	}
	a.client.Close()
}

// ClusterID is the cluster's id, as REST's root shows it.
func (a *Admin) ClusterID(ctx context.Context) (string, error) {
	id, err := embedded.ClusterID(ctx, a.client)
	return id, a.dialer.Explain(err)
}

// Embedded tells whether the cluster is an embedded broker, in whatever process.
func (a *Admin) Embedded(ctx context.Context) (bool, error) {
	id, err := a.ClusterID(ctx)
	return strings.HasPrefix(id, embedded.ClusterPrefix), err
}

// Topic is one to be created where it is missing.
type Topic struct {
	Name string
	// Partitions and Replication; 0 or less: the broker's default (embedded: 1).
	Partitions  int32
	Replication int16
	// Configs are the topic's own settings; none: the broker's defaults.
	Configs map[string]string
}

// topicName is Kafka's rule; the embedded broker does not check it.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CheckTopic tells whether Kafka takes a name for a topic.
func CheckTopic(name string) error {
	if !topicName.MatchString(name) || name == "." || name == ".." {
		return fmt.Errorf("expected a topic's name, 1 to 249 letters, digits, dots, underscores or hyphens, found %q",
			name)
	}
	return nil
}

// coordinatorTimeout is how long the coordinator of a group or of transactions may be away: a new cluster first makes
// the topic that it works with.
const coordinatorTimeout = 30 * time.Second

// EnsureTopics creates those of the topics that are missing, waits until they have leaders, and returns the names of
// the created. Topics that exist are not touched.
func (a *Admin) EnsureTopics(ctx context.Context, topics ...Topic) (created []string, err error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		if err := CheckTopic(t.Name); err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.Name, err)
		}
		names[i] = t.Name
	}
	if len(names) == 0 {
		return nil, nil
	}
	metadata, err := a.admin.Metadata(ctx, names...)
	if err != nil {
		all := strings.Join(names, ", ")
		return nil, fmt.Errorf("topics %s: metadata: %w", all, Lacking(a.dialer.Explain(err), "DESCRIBE", "Topic "+all))
	}
	for _, t := range topics {
		found, ok := metadata.Topics[t.Name]
		switch {
		case ok && found.Err == nil:
			continue
		case ok && !errors.Is(found.Err, kerr.UnknownTopicOrPartition):
			return created, fmt.Errorf("topic %s: %w", t.Name, Lacking(found.Err, "DESCRIBE", "Topic "+t.Name))
		}
		switch made, err := a.create(ctx, t); {
		case err != nil:
			return created, err
		case made:
			created = append(created, t.Name)
		}
	}
	return created, a.awaitLeaders(ctx, names)
}

// create makes a topic; one that somebody else made in the meantime is no error.
func (a *Admin) create(ctx context.Context, t Topic) (made bool, err error) {
	partitions, replication := t.Partitions, t.Replication
	if partitions <= 0 {
		partitions = -1
	}
	if replication <= 0 {
		replication = -1
	}
	configs := map[string]*string{}
	for k, v := range t.Configs {
		configs[k] = &v
	}
	response, err := a.admin.CreateTopic(ctx, partitions, replication, configs, t.Name)
	until := time.Now().Add(coordinatorTimeout)
	backoff := pause.Backoff{First: 100 * time.Millisecond, Longest: time.Second}
	for fencedBrokers(err, response) && time.Now().Before(until) {
		if err := backoff.Wait(ctx); err != nil {
			return false, fmt.Errorf("create topic %s: %w: %s", t.Name, err, response.ErrMessage)
		}
		response, err = a.admin.CreateTopic(ctx, partitions, replication, configs, t.Name)
	}
	err = Lacking(a.dialer.Explain(err), "CREATE", "Topic "+t.Name)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists):
		return false, nil
	case err != nil && response.ErrMessage != "":
		return false, fmt.Errorf("create topic %s with %d partitions, replication %d: %w: %s", t.Name, partitions,
			replication, err, response.ErrMessage)
	case err != nil:
		return false, fmt.Errorf("create topic %s with %d partitions, replication %d: %w", t.Name, partitions,
			replication, err)
	}
	return true, nil
}

// fencedBrokers tells whether a topic has no place since brokers stop or start, which only the words of the answer say:
// the code is that of a replication factor that is too high.
func fencedBrokers(err error, response kadm.CreateTopicResponse) bool {
	return errors.Is(err, kerr.InvalidReplicationFactor) && strings.Contains(response.ErrMessage, "currently fenced")
}

func (a *Admin) awaitLeaders(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for backoff := (pause.Backoff{First: 5 * time.Millisecond, Longest: 100 * time.Millisecond}); ; {
		// Not by kadm, which answers from its cache: the topics are unknown there.
		request := kmsg.NewPtrMetadataRequest()
		for _, name := range names {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = &name
			request.Topics = append(request.Topics, topic)
		}
		metadata, err := request.RequestWith(ctx, a.client)
		if err != nil {
			return fmt.Errorf("topics %s: metadata: %w", strings.Join(names, ", "), err)
		}
		waiting := leaderless(metadata, names)
		if waiting == "" {
			return nil
		}
		if backoff.Wait(ctx) != nil {
			return fmt.Errorf("topic %s has partitions without a leader", waiting)
		}
	}
}

// leaderless is one of the topics that cannot be used yet, "" if all can.
func leaderless(metadata *kmsg.MetadataResponse, names []string) string {
	ready := map[string]bool{}
	for _, t := range metadata.Topics {
		if t.Topic == nil {
			continue
		}
		ready[*t.Topic] = t.ErrorCode == 0 && len(t.Partitions) > 0 &&
			!slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.Leader < 0 })
	}
	for _, name := range names {
		if !ready[name] {
			return name
		}
	}
	return ""
}

// Internal is one of Kafka Connect's own topics (offsets, configuration, status).
type Internal struct {
	Name string
	// Setting that names the topic, for errors: offset.storage.topic.
	Setting string
	// Partitions is what Kafka Connect takes by default, or what the user set.
	Partitions int32
	// Replication; 0: 3 as in Kafka Connect, or the broker's default where there are fewer brokers.
	Replication int16
	// Configs are further settings of the topic.
	Configs map[string]string
}

// ParseInternal takes from a worker's properties those of one of Kafka Connect's own topics, which begin with prefix
// (offset.storage. or status.storage.): topic, partitions, replication.factor; all others become configs of the topic,
// but for cleanup.policy, which is not to be chosen. t has the defaults. Problems are in the order of names.
func ParseInternal(properties map[string]string, prefix string, t Internal) (Internal, setting.Problems) {
	var problems setting.Problems
	t.Setting = prefix + "topic"
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		of, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		value := strings.TrimSpace(properties[name])
		var err error
		switch of {
		case "topic":
			t.Name, err = value, CheckTopic(value)
		case "partitions":
			t.Partitions, err = count[int32](value, math.MaxInt32)
		case "replication.factor":
			t.Replication, err = count[int16](value, math.MaxInt16)
		case "cleanup.policy":
		default:
			if t.Configs == nil {
				t.Configs = map[string]string{}
			}
			t.Configs[of] = value
		}
		if err != nil {
			problems = append(problems, setting.Problem{Setting: name, Code: setting.CodeInvalid,
				Text: setting.Invalid(name, value, err.Error())})
		}
	}
	return t, problems
}

// count parses a number of 1 or more; -1 leaves it to the broker.
func count[T int16 | int32](value string, most int64) (T, error) {
	n, ok := setting.Integer(wit.KindLong, value)
	if !ok || n > most || (n < 1 && n != -1) {
		return 0, fmt.Errorf("expected a number from 1 to %d, or -1 for the broker's default", most)
	}
	return T(n), nil
}

// EnsureInternal creates an internal topic as Kafka Connect does: compacted. On the embedded broker it has one
// partition and is kept for ever instead, since compaction loses data there. An existing topic that is not compacted
// is refused, as Kafka Connect does: old offsets would expire.
func (a *Admin) EnsureInternal(ctx context.Context, t Internal) error {
	embedded, err := a.Embedded(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Setting, err)
	}
	topic := Topic{Name: t.Name, Partitions: t.Partitions, Replication: t.Replication, Configs: map[string]string{}}
	for k, v := range t.Configs {
		topic.Configs[k] = v
	}
	if embedded {
		topic.Partitions, topic.Replication = 1, 1
		topic.Configs["cleanup.policy"], topic.Configs["retention.ms"] = "delete", "-1"
	} else {
		topic.Configs["cleanup.policy"] = "compact"
		if topic.Replication, err = a.internalReplication(ctx, t.Replication); err != nil {
			return fmt.Errorf("%s: %w", t.Setting, err)
		}
	}
	created, err := a.EnsureTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Setting, err)
	}
	if len(created) > 0 || embedded {
		return nil
	}
	return a.checkCompacted(ctx, t)
}

// CheckInternal is [Admin.EnsureInternal] and [Examine] for a topic that is to be there: it makes nothing.
func (a *Admin) CheckInternal(ctx context.Context, t Internal) error {
	embedded, err := a.Embedded(ctx)
	if err == nil {
		err = a.dialer.Explain(Examine(ctx, a.client, t))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.Setting, err)
	}
	if embedded {
		return nil
	}
	return a.checkCompacted(ctx, t)
}

// Examine finds what keeps a client from using an internal topic that is there: other partitions than one where
// t.Partitions is 1, or no right to READ, or to WRITE.
func Examine(ctx context.Context, client *kgo.Client, t Internal) error {
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &t.Name
	request.Topics, request.IncludeTopicAuthorizedOperations = append(request.Topics, topic), true
	metadata, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(metadata.Topics) != 1 {
		return fmt.Errorf("metadata of topic %s: expected one topic, found %d", t.Name, len(metadata.Topics))
	}
	found := metadata.Topics[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return fmt.Errorf("topic %s: %w", t.Name, Lacking(err, "DESCRIBE", "Topic "+t.Name))
	}
	if n := len(found.Partitions); t.Partitions == 1 && n != 1 {
		return fmt.Errorf("Topic '%s' supplied via the '%s' property is required to have a single partition in order "+
			"to guarantee consistency of connector configurations, but found %d partitions.", t.Name, t.Setting, n)
	}
	for _, right := range []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite} {
		// Brokers before Kafka 2.3 say nothing (KIP-430).
		if may := found.AuthorizedOperations; may != math.MinInt32 && may&(1<<right) == 0 {
			return Lacking(kerr.TopicAuthorizationFailed, right.String(), "Topic "+t.Name)
		}
	}
	return nil
}

func (a *Admin) internalReplication(ctx context.Context, asked int16) (int16, error) {
	const ofConnect = 3
	if asked != 0 {
		return asked, nil
	}
	brokers, err := a.admin.ListBrokers(ctx)
	if err != nil {
		return 0, fmt.Errorf("brokers: %w", err)
	}
	if len(brokers) < ofConnect {
		return -1, nil
	}
	return ofConnect, nil
}

func (a *Admin) checkCompacted(ctx context.Context, t Internal) error {
	policy, err := a.topicConfig(ctx, t.Name, "cleanup.policy")
	if err != nil {
		// Not every client may describe configurations; Kafka Connect goes on as well.
		a.config.log().Debug("cleanup.policy cannot be checked", "topic", t.Name, "error", err)
		return nil
	}
	if policy != "compact" {
		return fmt.Errorf("%s: topic %s must have cleanup.policy=compact, found %q: its entries would expire",
			t.Setting, t.Name, policy)
	}
	return nil
}

// topicConfig is a topic's own setting, or the brokers' default for it.
func (a *Admin) topicConfig(ctx context.Context, topic, name string) (string, error) {
	described, err := a.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return "", a.dialer.Explain(err)
	}
	resource, err := described.On(topic, nil)
	if err == nil {
		err = resource.Err
	}
	if err != nil {
		return "", err
	}
	for _, c := range resource.Configs {
		if c.Key == name && c.Value != nil {
			return *c.Value, nil
		}
	}
	return "", errors.New("the answer does not have it")
}

// EndOffsets are where reading ends in each topic: after the last record of a finished transaction, or with
// uncommitted after the last record of all.
func (a *Admin) EndOffsets(ctx context.Context, uncommitted bool, topics ...string) (map[string]Positions, error) {
	if len(topics) == 0 {
		return map[string]Positions{}, nil // kadm would take it for all topics
	}
	list := a.admin.ListCommittedOffsets
	if uncommitted {
		list = a.admin.ListEndOffsets
	}
	ends, err := offsetsOf(ctx, list, topics...)
	return ends, a.dialer.Explain(err)
}

// StartOffsets are where the logs of a topic's partitions begin.
func (a *Admin) StartOffsets(ctx context.Context, topic string) (Positions, error) {
	starts, err := offsetsOf(ctx, a.admin.ListStartOffsets, topic)
	return starts[topic], a.dialer.Explain(err)
}

// Records are how many records topics hold, compacted ones included: none of a topic that is not there. Topics that
// brokers do not answer for are left out.
func (a *Admin) Records(ctx context.Context, topics ...string) map[string]int64 {
	records := map[string]int64{}
	if len(topics) == 0 {
		return records
	}
	starts, _ := a.admin.ListStartOffsets(ctx, topics...) // what fails is not among them, or has its own error
	ends, _ := a.admin.ListEndOffsets(ctx, topics...)
	for topic, partitions := range ends {
		var n int64
		var err error
		for partition, end := range partitions {
			start, known := starts.Lookup(topic, partition)
			if !known && end.Err == nil {
				start.Err = errors.New("its begin is not known")
			}
			n += end.Offset - start.Offset
			err = errors.Join(err, end.Err, start.Err)
		}
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			records[topic] = 0
		case err == nil:
			records[topic] = n
		}
	}
	return records
}

// Committed are the offsets that a consumer group has committed; none for a group that there is not.
func (a *Admin) Committed(ctx context.Context, group string) (map[string]Positions, error) {
	waiting, cancel := context.WithTimeout(ctx, coordinatorTimeout)
	defer cancel()
	offsets, err := a.admin.FetchOffsets(ctx, group)
	for err != nil {
		if errors.Is(err, kerr.GroupIDNotFound) {
			return map[string]Positions{}, nil // the embedded broker's word for a group that has committed nothing
		}
		if !kerr.IsRetriable(err) || pause.For(waiting, 100*time.Millisecond) != nil {
			return nil, fmt.Errorf("offsets of group %s: %w", group,
				Lacking(a.dialer.Explain(err), "DESCRIBE", "Group "+group))
		}
		offsets, err = a.admin.FetchOffsets(ctx, group)
	}
	result := map[string]Positions{}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil || o.At < 0 {
			return
		}
		setAt(result, o.Topic, o.Partition, o.At)
	})
	return result, nil
}

// CommitOffsets sets where a group stands that has no members. One that has members is refused by the broker.
func (a *Admin) CommitOffsets(ctx context.Context, group string, at map[string]Positions) error {
	offsets := kadm.Offsets{}
	for topic, partitions := range at {
		for partition, next := range partitions {
			offsets.AddOffset(topic, partition, next, -1)
		}
	}
	response, err := a.admin.CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = response.Error()
	}
	if err != nil {
		return fmt.Errorf("commit offsets of group %s: %w", group, a.dialer.Explain(err))
	}
	return nil
}

// DeleteOffsets forgets where a group without members stands in partitions; what it has not committed is no fault.
func (a *Admin) DeleteOffsets(ctx context.Context, group string, of map[string][]int32) error {
	set := kadm.TopicsSet{}
	for topic, partitions := range of {
		set.Add(topic, partitions...)
	}
	response, err := a.admin.DeleteOffsets(ctx, group, set)
	if err == nil {
		err = response.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("delete offsets of group %s: %w", group, a.dialer.Explain(err))
	}
	return nil
}

// DeleteGroup forgets a group without members, with all its offsets; one that there is not is no fault.
func (a *Admin) DeleteGroup(ctx context.Context, group string) error {
	response, err := a.admin.DeleteGroup(ctx, group)
	if err == nil {
		err = response.Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("delete group %s: %w", group, a.dialer.Explain(err))
	}
	return nil
}

// Topics are the names of all topics that are not Kafka's own.
func (a *Admin) Topics(ctx context.Context) ([]string, error) {
	topics, err := a.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", a.dialer.Explain(err))
	}
	return topics.Names(), nil
}

// administering is a client that asks and creates, with how many share it.
type sharedAdmin struct {
	*Admin
	users int
}

// SharedAdmin is [NewAdmin] with the client of all administrators that were opened with the same key and whose
// configuration was made of the same one: the key is to tell apart what differs in their settings. The last one to be
// closed ends the client.
func (c Config) SharedAdmin(key, clientID string) (*Admin, error) {
	if c.Admin.ClientID == "" {
		c.Admin.ClientID = clientID
	}
	if c.shared == nil {
		return NewAdmin(c)
	}
	root := c.shared
	root.opening.Lock()
	defer root.opening.Unlock()
	client := root.admins[key]
	if client == nil {
		admin, err := NewAdmin(c)
		if err != nil {
			return nil, err
		}
		client = &sharedAdmin{Admin: admin}
		if root.admins == nil {
			root.admins = map[string]*sharedAdmin{}
		}
		root.admins[key] = client
	}
	client.users++
	own := *client.Admin
	own.release = sync.OnceFunc(func() {
		root.opening.Lock()
		client.users--
		last := client.users == 0
		if last {
			delete(root.admins, key)
		}
		root.opening.Unlock()
		if last {
			client.Close()
		}
	})
	return &own, nil
}
