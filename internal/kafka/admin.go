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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Admin is an administrator of topics, groups and offsets. It is safe for concurrent use. The caller must close it.
type Admin struct {
	config  Config
	client  *kgo.Client
	dialer  *security.Dialer
	admin   *kadm.Client
	release func() // releases a shared client, see [Config.SharedAdmin]; nil means that Admin closes the client
}

// NewAdmin opens an administrator. It connects with the first request.
func NewAdmin(config Config) (*Admin, error) {
	client, dialer, err := newClient(config.AdminOpts())
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	if limit := config.Admin.withDefaults(config.ClientConfig).RequestTimeout; limit > 0 {
		admin.SetTimeoutMillis(int32(limit.Milliseconds()))
	}
	return &Admin{config: config, client: client, dialer: dialer, admin: admin}, nil
}

// NewConsumerAdmin opens an administrator with the brokers and credentials of c's consumers.
func NewConsumerAdmin(c Config) (*Admin, error) {
	c.Admin = c.Consumer.withDefaults(c.ClientConfig)
	return NewAdmin(c)
}

// Close closes the client, or releases a shared one.
func (a *Admin) Close() {
	if a.release != nil {
		a.release()
		return
	}
	a.client.Close()
}

// ClusterID returns the ID of the cluster, "" if the brokers have no ID.
func (a *Admin) ClusterID(ctx context.Context) (string, error) {
	id, err := embedded.ClusterID(ctx, a.client)
	return id, a.dialer.Explain(err)
}

// Embedded reports whether the cluster is an embedded broker, in any process.
func (a *Admin) Embedded(ctx context.Context) (bool, error) {
	id, err := a.ClusterID(ctx)
	return strings.HasPrefix(id, embedded.ClusterPrefix), err
}

// Topic describes a topic that [Admin.EnsureTopics] creates if it is missing.
type Topic struct {
	Name        string
	Partitions  int32 // Zero or less means the broker's default (embedded: 1).
	Replication int16 // Zero or less means the broker's default.
	Configs     map[string]string
}

// topicName is Kafka's rule; the embedded broker does not check it.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CheckTopic returns an error for an invalid topic name.
func CheckTopic(name string) error {
	if !topicName.MatchString(name) || name == "." || name == ".." {
		return fmt.Errorf("expected a topic's name, 1 to 249 letters, digits, dots, underscores or hyphens, found %q",
			name)
	}
	return nil
}

// coordinatorTimeout is how long a coordinator may be unavailable: a new cluster creates its topic first.
const coordinatorTimeout = 30 * time.Second

// EnsureTopics creates missing topics, waits for all leaders, and returns the created names, also with an error.
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
		topicList := strings.Join(names, ", ")
		return nil, fmt.Errorf("topics %s: metadata: %w", topicList, WithMissingRight(a.dialer.Explain(err), "DESCRIBE",
			"Topic "+topicList))
	}
	for _, t := range topics {
		existing, ok := metadata.Topics[t.Name]
		switch {
		case ok && existing.Err == nil:
			continue
		case ok && !errors.Is(existing.Err, kerr.UnknownTopicOrPartition):
			return created, fmt.Errorf("topic %s: %w", t.Name,
				WithMissingRight(existing.Err, "DESCRIBE", "Topic "+t.Name))
		}
		switch isNew, err := a.create(ctx, t); {
		case err != nil:
			return created, err
		case isNew:
			created = append(created, t.Name)
		}
	}
	return created, a.awaitLeaders(ctx, names)
}

// create creates a topic; isNew is false if it exists. It retries for [coordinatorTimeout] while brokers are fenced.
func (a *Admin) create(ctx context.Context, t Topic) (isNew bool, err error) {
	partitions := t.Partitions
	replication := t.Replication
	if partitions <= 0 {
		partitions = -1 // the broker's default
	}
	if replication <= 0 {
		replication = -1
	}
	configs := map[string]*string{}
	for k, v := range t.Configs {
		configs[k] = &v
	}
	response, err := a.admin.CreateTopic(ctx, partitions, replication, configs, t.Name)
	deadline := time.Now().Add(coordinatorTimeout)
	backoff := pause.Backoff{First: 100 * time.Millisecond, Longest: time.Second}
	// Only the message shows that brokers stop or start: the code has another cause, too.
	for errors.Is(err, kerr.InvalidReplicationFactor) && strings.Contains(response.ErrMessage, "currently fenced") &&
		time.Now().Before(deadline) {
		if err := backoff.Wait(ctx); err != nil {
			return false, fmt.Errorf("create topic %s: %w: %s", t.Name, err, response.ErrMessage)
		}
		response, err = a.admin.CreateTopic(ctx, partitions, replication, configs, t.Name)
	}
	err = WithMissingRight(a.dialer.Explain(err), "CREATE", "Topic "+t.Name)
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

// awaitLeaders waits up to 30 s until all partitions of topics have a leader.
func (a *Admin) awaitLeaders(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for backoff := (pause.Backoff{First: 5 * time.Millisecond, Longest: 100 * time.Millisecond}); ; {
		// Not with kadm, whose cache does not have the topics.
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
		ready := map[string]bool{}
		for _, t := range metadata.Topics {
			if t.Topic == nil {
				continue
			}
			noLeader := func(p kmsg.MetadataResponseTopicPartition) bool { return p.Leader < 0 }
			ready[*t.Topic] = t.ErrorCode == 0 && len(t.Partitions) > 0 && !slices.ContainsFunc(t.Partitions, noLeader)
		}
		leaderless := slices.IndexFunc(names, func(name string) bool { return !ready[name] })
		if leaderless < 0 {
			return nil
		}
		if backoff.Wait(ctx) != nil {
			return fmt.Errorf("topic %s has partitions without a leader", names[leaderless])
		}
	}
}

// InternalTopic is one of Kafka Connect's own topics (offsets, configuration, status).
type InternalTopic struct {
	Name        string
	Setting     string // the property with the topic's name, for messages
	Partitions  int32
	Replication int16 // Zero means 3 as in Kafka Connect, or the broker's default with fewer brokers.
	Configs     map[string]string
}

// ParseInternalTopic reads a worker's properties that begin with prefix, such as status.storage.: topic, partitions,
// replication.factor; others become topic configs, except cleanup.policy. t has the defaults.
func ParseInternalTopic(properties map[string]string, prefix string,
	t InternalTopic) (InternalTopic, setting.Problems) {
	var problems setting.Problems
	t.Setting = prefix + "topic"
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		value := strings.TrimSpace(properties[name])
		var err error
		switch property {
		case "topic":
			err = CheckTopic(value)
			t.Name = value
		case "partitions":
			t.Partitions, err = parseCount[int32](value, math.MaxInt32)
		case "replication.factor":
			t.Replication, err = parseCount[int16](value, math.MaxInt16)
		case "cleanup.policy": // nothing to do: EnsureInternalTopic sets it
		default:
			if t.Configs == nil {
				t.Configs = map[string]string{}
			}
			t.Configs[property] = value
		}
		if err != nil {
			problems = append(problems, setting.Problem{Setting: name, Code: setting.CodeInvalid,
				Text: setting.Invalid(name, value, err.Error())})
		}
	}
	return t, problems
}

func parseCount[T int16 | int32](value string, highest int64) (T, error) {
	n, ok := setting.ParseInt(wit.KindLong, value)
	if !ok || n > highest || (n < 1 && n != -1) {
		return 0, fmt.Errorf("expected a number from 1 to %d, or -1 for the broker's default", highest)
	}
	return T(n), nil
}

// EnsureInternalTopic creates an internal topic, compacted as in Kafka Connect, and rejects one that is not: old
// offsets would expire. The embedded broker loses data by compaction, so there it has one partition and infinite
// retention.
func (a *Admin) EnsureInternalTopic(ctx context.Context, t InternalTopic) error {
	isEmbedded, err := a.Embedded(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Setting, err)
	}
	topic := Topic{Name: t.Name, Partitions: t.Partitions, Replication: t.Replication, Configs: map[string]string{}}
	for k, v := range t.Configs {
		topic.Configs[k] = v
	}
	if isEmbedded {
		topic.Partitions = 1
		topic.Replication = 1
		topic.Configs["cleanup.policy"] = "delete"
		topic.Configs["retention.ms"] = "-1"
	} else {
		topic.Configs["cleanup.policy"] = "compact"
		if topic.Replication == 0 {
			brokers, err := a.admin.ListBrokers(ctx)
			if err != nil {
				return fmt.Errorf("%s: brokers: %w", t.Setting, err)
			}
			topic.Replication = 3 // Kafka Connect's default
			if len(brokers) < 3 {
				topic.Replication = -1
			}
		}
	}
	created, err := a.EnsureTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Setting, err)
	}
	if len(created) > 0 || isEmbedded {
		return nil
	}
	return a.checkCompacted(ctx, t)
}

// CheckInternalTopic checks an existing internal topic like [Admin.EnsureInternalTopic] and [CheckInternalTopic].
func (a *Admin) CheckInternalTopic(ctx context.Context, t InternalTopic) error {
	isEmbedded, err := a.Embedded(ctx)
	if err == nil {
		err = a.dialer.Explain(CheckInternalTopic(ctx, a.client, t))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.Setting, err)
	}
	if isEmbedded {
		return nil
	}
	return a.checkCompacted(ctx, t)
}

// CheckInternalTopic checks that a client may READ and WRITE an internal topic, and its number of partitions.
func CheckInternalTopic(ctx context.Context, client *kgo.Client, t InternalTopic) error {
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &t.Name
	request.Topics = append(request.Topics, topic)
	request.IncludeTopicAuthorizedOperations = true
	metadata, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(metadata.Topics) != 1 {
		return fmt.Errorf("metadata of topic %s: expected one topic, found %d", t.Name, len(metadata.Topics))
	}
	description := metadata.Topics[0]
	if err := kerr.ErrorForCode(description.ErrorCode); err != nil {
		return fmt.Errorf("topic %s: %w", t.Name, WithMissingRight(err, "DESCRIBE", "Topic "+t.Name))
	}
	if n := len(description.Partitions); t.Partitions == 1 && n != 1 {
		return fmt.Errorf("Topic '%s' supplied via the '%s' property is required to have a single partition in order "+
			"to guarantee consistency of connector configurations, but found %d partitions.", t.Name, t.Setting, n)
	}
	for _, right := range []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite} {
		// Brokers before Kafka 2.3 do not report rights (KIP-430).
		if granted := description.AuthorizedOperations; granted != math.MinInt32 && granted&(1<<right) == 0 {
			return WithMissingRight(kerr.TopicAuthorizationFailed, right.String(), "Topic "+t.Name)
		}
	}
	return nil
}

// checkCompacted returns an error if a topic is known not to be compacted.
func (a *Admin) checkCompacted(ctx context.Context, t InternalTopic) error {
	policy, err := a.topicConfig(ctx, t.Name, "cleanup.policy")
	if err != nil {
		// Kafka Connect also continues without the right to describe it.
		a.config.log().Debug("cleanup.policy cannot be checked", "topic", t.Name, "error", err)
		return nil
	}
	if policy != "compact" {
		return fmt.Errorf("%s: topic %s must have cleanup.policy=compact, found %q: its entries would expire",
			t.Setting, t.Name, policy)
	}
	return nil
}

// topicConfig returns the value of a topic's property.
func (a *Admin) topicConfig(ctx context.Context, topic, name string) (string, error) {
	descriptions, err := a.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return "", a.dialer.Explain(err)
	}
	resource, err := descriptions.On(topic, nil)
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
	return "", errors.New("the broker did not return it")
}

// EndOffsets returns the last stable offsets of topics. If uncommitted is set, it returns their high watermarks.
func (a *Admin) EndOffsets(ctx context.Context, uncommitted bool, topics ...string) (map[string]Positions, error) {
	if len(topics) == 0 {
		return map[string]Positions{}, nil // without names kadm lists all topics
	}
	list := a.admin.ListCommittedOffsets
	if uncommitted {
		list = a.admin.ListEndOffsets
	}
	ends, err := offsetsOf(ctx, list, topics...)
	return ends, a.dialer.Explain(err)
}

// StartOffsets returns the log start offsets of a topic.
func (a *Admin) StartOffsets(ctx context.Context, topic string) (Positions, error) {
	starts, err := offsetsOf(ctx, a.admin.ListStartOffsets, topic)
	return starts[topic], a.dialer.Explain(err)
}

// Range holds the offsets between which a topic can be read.
type Range struct {
	From Positions // first offsets
	To   Positions // last stable offsets
	// TopicID identifies the topic among those with its name. "" means that the topic is missing or that the broker
	// has no IDs.
	TopicID string
}

// Ranges returns the offsets of topics: a zero Range for a missing topic, no Range for a topic that cannot be read now.
func (a *Admin) Ranges(ctx context.Context, topics ...string) map[string]Range {
	ranges := map[string]Range{}
	if len(topics) == 0 {
		return ranges
	}
	// These errors are ignored: failed topics are missing from the results, and failed partitions have their own error.
	// The IDs come first: if a topic is created again in the meantime, its next ID shows that.
	ids, _ := topicIDs(ctx, a.client, topics)
	starts, _ := a.admin.ListStartOffsets(ctx, topics...)
	ends, _ := a.admin.ListCommittedOffsets(ctx, topics...)
	for topic, partitions := range ends {
		id, ok := ids[topic]
		readable := Range{From: Positions{}, To: Positions{}, TopicID: formatTopicID(id)}
		var err error
		for partition, end := range partitions {
			start, ok := starts.Lookup(topic, partition)
			if !ok && end.Err == nil {
				start.Err = errors.New("the start offset is unknown")
			}
			readable.From[partition] = start.Offset
			readable.To[partition] = end.Offset
			err = errors.Join(err, end.Err, start.Err)
		}
		switch {
		case errors.Is(partitions[-1].Err, kerr.UnknownTopicOrPartition): // kadm's place for errors of the topic
			ranges[topic] = Range{}
		case err == nil && ok:
			ranges[topic] = readable
		}
	}
	return ranges
}

// Committed returns a group's committed offsets, if any, and waits up to [coordinatorTimeout] for its coordinator.
func (a *Admin) Committed(ctx context.Context, group string) (map[string]Positions, error) {
	waitCtx, cancel := context.WithTimeout(ctx, coordinatorTimeout)
	defer cancel()
	offsets, err := a.admin.FetchOffsets(ctx, group)
	for err != nil {
		if errors.Is(err, kerr.GroupIDNotFound) {
			return map[string]Positions{}, nil // the embedded broker's response for a group without commits
		}
		if !kerr.IsRetriable(err) || pause.For(waitCtx, 100*time.Millisecond) != nil {
			return nil, fmt.Errorf("offsets of group %s: %w", group,
				WithMissingRight(a.dialer.Explain(err), "DESCRIBE", "Group "+group))
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

// CommitOffsets sets the offsets of a group without members; brokers reject it for other groups.
func (a *Admin) CommitOffsets(ctx context.Context, group string, next map[string]Positions) error {
	offsets := kadm.Offsets{}
	for topic, partitions := range next {
		for partition, offset := range partitions {
			offsets.AddOffset(topic, partition, offset, -1) // without a leader epoch
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

// DeleteOffsets deletes offsets of a group without members; missing ones are no error.
func (a *Admin) DeleteOffsets(ctx context.Context, group string, partitions map[string][]int32) error {
	set := kadm.TopicsSet{}
	for topic, list := range partitions {
		set.Add(topic, list...)
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

// DeleteGroup deletes a group without members and its offsets; a missing group is no error.
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

// Topics returns the names of all topics that the user may describe.
func (a *Admin) Topics(ctx context.Context) ([]string, error) {
	topics, err := a.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", a.dialer.Explain(err))
	}
	return topics.Names(), nil
}

// Partitions returns the number of partitions of each topic.
func (a *Admin) Partitions(ctx context.Context) (map[string]int, error) {
	topics, err := a.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", a.dialer.Explain(err))
	}
	partitions := map[string]int{}
	for name, topic := range topics {
		partitions[name] = len(topic.Partitions)
	}
	return partitions, nil
}

type sharedAdmin struct {
	*Admin
	users int
}

// SharedAdmin is [NewAdmin] with a client that administrators of the same key share until the last Close, if their
// configurations are derived from the same one, see [sharedClients].
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
	shared := root.admins[key]
	if shared == nil {
		admin, err := NewAdmin(c)
		if err != nil {
			return nil, err
		}
		shared = &sharedAdmin{Admin: admin}
		if root.admins == nil {
			root.admins = map[string]*sharedAdmin{}
		}
		root.admins[key] = shared
	}
	shared.users++
	handle := *shared.Admin
	handle.release = sync.OnceFunc(func() {
		root.opening.Lock()
		shared.users--
		isLast := shared.users == 0
		if isLast {
			delete(root.admins, key)
		}
		root.opening.Unlock()
		if isLast {
			shared.Close()
		}
	})
	return &handle, nil
}
