package order

// SignForTest appends a MAC under key to a body of any content.
func SignForTest(body []byte, topic string, key []byte) []byte {
	s, err := NewSigner(topic, key)
	if err != nil {
		panic(err)
	}
	sum := sign(s.keys[0], body)
	return append(body, sum[:]...)
}
