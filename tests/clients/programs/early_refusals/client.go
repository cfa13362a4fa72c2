// Go's net/http. The environment and what is printed: see asyncio_client.py.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func number(name string) int {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		panic(err)
	}
	return value
}

func status(body []byte) string {
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	defer client.CloseIdleConnections()
	var reader io.Reader = bytes.NewReader(body)
	if os.Getenv("CHUNKED") != "" {
		reader = io.MultiReader(reader) // of unknown length
	}
	request, err := http.NewRequest("POST", os.Getenv("BASE_URL")+"/big", reader)
	if err != nil {
		panic(err)
	}
	request.Host = os.Getenv("HOST")
	answer, err := client.Do(request)
	if err != nil {
		return err.Error()[strings.LastIndex(err.Error(), ": ")+2:]
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err != nil {
		return err.Error()
	}
	return strconv.Itoa(answer.StatusCode)
}

func main() {
	seen, order := map[string]int{}, []string{}
	body := bytes.Repeat([]byte("u"), number("SIZE"))
	for round := number("ROUNDS"); round > 0; round-- {
		one := status(body)
		if seen[one]++; seen[one] == 1 {
			order = append(order, one)
		}
	}
	for place, one := range order {
		order[place] = fmt.Sprintf("%s x %d", one, seen[one])
	}
	fmt.Println(strings.Join(order, ", "))
}
