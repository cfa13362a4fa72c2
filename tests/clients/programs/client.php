<?php
// The extension curl goes by the environment, PHP's own streams do not.
$request = curl_init($argv[1]);
curl_setopt_array($request, [CURLOPT_RETURNTRANSFER => true, CURLOPT_HTTPHEADER => ["Authorization: Bearer " . getenv("API_KEY")]]);
$answer = curl_exec($request);
if ($answer === false) {
    fwrite(STDERR, curl_error($request) . "\n");
    exit(1);
}
echo $answer;
