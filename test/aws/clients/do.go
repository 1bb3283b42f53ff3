package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// clients are those of the services, as the SDK makes them.
type clients struct {
	objects *s3.Client
	queues  *sqs.Client
}

func newClients(settings aws.Config) clients {
	settings.RetryMaxAttempts = 1 // what is refused once is refused
	return clients{objects: s3.NewFromConfig(settings), queues: sqs.NewFromConfig(settings)}
}

var errUnknown = errors.New("no such thing to do")

// do does one thing: put, get, delete and list in a bucket, send to a queue.
func (c clients) do(ctx context.Context, what string, words []string) (string, error) {
	for len(words) < 3 {
		words = append(words, "")
	}
	switch what {
	case "put":
		_, err := c.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &words[0], Key: &words[1], Body: strings.NewReader(words[2])})
		return "done", err
	case "get":
		return c.get(ctx, words[0], words[1])
	case "delete":
		_, err := c.objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &words[0], Key: &words[1]})
		return "done", err
	case "list":
		out, err := c.objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &words[0], Prefix: &words[1]})
		if err != nil {
			return "", err
		}
		var keys []string
		for _, o := range out.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
		return strings.Join(keys, ","), nil
	case "send":
		_, err := c.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &words[0], MessageBody: &words[1]})
		return "done", err
	}
	return "", errUnknown
}

func (c clients) get(ctx context.Context, bucket, key string) (string, error) {
	out, err := c.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Body.Close() }()
	text, err := io.ReadAll(out.Body)
	return string(text), err
}
